import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Delay levels of a broker with "1s 2s 3s ...": nothing comes early, everything comes, levels beyond the last are the last. */
final class DelayTheme implements Theme {

    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 2);
        Map<String, MessageExt> arrived = new ConcurrentHashMap<>();
        Map<String, Long> early = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = context.pushConsumer("group");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            for (MessageExt message : messages) {
                long waited = System.currentTimeMillis() - message.getBornTimestamp();
                if (waited < Long.parseLong(message.getUserProperty("wait-ms")) - 100) {
                    early.put(Context.body(message), waited);
                }
                arrived.put(Context.body(message), message);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        DefaultMQProducer producer = context.producer("producer");
        List<String> wanted = new ArrayList<>();
        for (int level : new int[] {0, 1, 2, 3, 18, 40}) {
            for (int i = 0; i < 3; i++) {
                String body = level + "-" + i;
                Message message = new Message(topic, "tag", body, body.getBytes(StandardCharsets.UTF_8));
                message.setDelayTimeLevel(level);
                message.putUserProperty("wait-ms", String.valueOf(level == 0 ? 0 : level <= 3 ? level * 1000 : 1000));
                wanted.add(body);
                producer.send(message);
            }
        }
        context.await(() -> arrived.size() >= wanted.size());
        context.same("all-arrive", wanted, arrived.keySet());
        context.check("none-early", early.isEmpty(), early);
        List<String> wrong = new ArrayList<>();
        arrived.forEach((body, message) -> {
            boolean right = message.getTopic().equals(topic) && message.getKeys().equals(body) && message.getTags().equals("tag");
            if (!right) {
                wrong.add(message.getTopic() + " " + message.getProperties());
            }
        });
        context.check("come-as-sent", wrong.isEmpty(), wrong);
        context.equal("stored-once", wanted.size(), context.stored(topic));
    }
}
