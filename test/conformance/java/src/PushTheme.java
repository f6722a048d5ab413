import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;

/** Clustering consumption: two consumers share the queues, and one takes over when the other leaves. */
final class PushTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 4);
        DefaultMQProducer producer = context.producer("producer");
        List<String> one = Collections.synchronizedList(new ArrayList<>());
        List<String> two = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer first = consumer(context, topic, one);
        context.await("first-owns-all", () -> Context.assigned(first, topic) == 4, () -> Context.assigned(first, topic));
        DefaultMQPushConsumer second = consumer(context, topic, two);
        context.await("queues-are-shared", () -> Context.assigned(first, topic) == 2 && Context.assigned(second, topic) == 2,
            () -> Context.assigned(first, topic) + " and " + Context.assigned(second, topic));

        context.send(producer, topic, "tag", "push", 200);
        context.await(() -> one.size() + two.size() >= 200);
        List<String> both = new ArrayList<>(one);
        both.addAll(two);
        context.same("each-message-once", Context.numbered("push", 200), both);
        Set<String> overlap = new HashSet<>(one);
        overlap.retainAll(two);
        context.check("no-overlap", overlap.isEmpty(), overlap);
        context.check("both-work", one.size() >= 50 && two.size() >= 50, one.size() + " and " + two.size());

        second.shutdown();
        context.await("survivor-takes-over", () -> Context.assigned(first, topic) == 4, () -> Context.assigned(first, topic));
        one.clear();
        context.send(producer, topic, "tag", "after", 40);
        context.awaitSame("survivor-gets-all", Context.numbered("after", 40), one);
    }

    static DefaultMQPushConsumer consumer(Context context, String topic, List<String> into) throws Exception {
        DefaultMQPushConsumer consumer = context.pushConsumer("group");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            messages.forEach(message -> into.add(Context.body(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }
}
