import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Request and reply: the broker pushes the reply to the client that asked. */
final class RequestTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 2);
        AtomicInteger replied = new AtomicInteger();
        List<String> asked = Collections.synchronizedList(new ArrayList<>());
        DefaultMQProducer replier = context.producer("replier");
        DefaultMQPushConsumer responder = context.pushConsumer("responder");
        responder.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        responder.subscribe(topic, "*");
        responder.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            for (MessageExt message : messages) {
                asked.add(Context.body(message));
                try {
                    byte[] answer = ("re: " + Context.body(message)).getBytes(StandardCharsets.UTF_8);
                    replier.send(MessageUtil.createReplyMessage(message, answer));
                    replied.incrementAndGet();
                } catch (Exception error) {
                    context.fail("reply", Context.reason(error));
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        responder.start();
        DefaultMQProducer asker = context.producer("asker");
        // The broker finds the asker's connection by its heartbeat, which goes to brokers of known routes only.
        asker.fetchPublishMessageQueues(topic);
        asker.getDefaultMQProducerImpl().getMqClientFactory().updateTopicRouteInfoFromNameServer(topic);
        asker.getDefaultMQProducerImpl().getMqClientFactory().sendHeartbeatToAllBrokerWithLock();
        if (Shim.WAITS_FOR_REPLIES) {
            Message answer = asker.request(new Message(topic, "ping".getBytes(StandardCharsets.UTF_8)), 40_000);
            context.equal("request", "re: ping", new String(answer.getBody(), StandardCharsets.UTF_8));
        }
        CompletableFuture<String> later = new CompletableFuture<>();
        asker.request(new Message(topic, "async".getBytes(StandardCharsets.UTF_8)), new RequestCallback() {
            @Override
            public void onSuccess(Message message) {
                later.complete(new String(message.getBody(), StandardCharsets.UTF_8));
            }

            @Override
            public void onException(Throwable error) {
                later.completeExceptionally(error);
            }
        }, 40_000);
        context.equal("request-async", "re: async", later.get(45, TimeUnit.SECONDS));
        // The asker has its reply before the replier knows that it arrived; it must not leave in between.
        context.await("replies-sent", () -> replied.get() == asked.size(), () -> replied + " of " + asked);
        context.same("each-request-once", Shim.WAITS_FOR_REPLIES ? List.of("async", "ping") : List.of("async"), asked);
    }
}
