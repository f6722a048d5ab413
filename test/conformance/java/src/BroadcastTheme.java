import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;

/** Broadcasting: every consumer gets every message and keeps its own offsets. */
final class BroadcastTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 4);
        DefaultMQProducer producer = context.producer("producer");
        List<String> one = Collections.synchronizedList(new ArrayList<>());
        List<String> two = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer first = consumer(context, "one", topic, one);
        DefaultMQPushConsumer second = consumer(context, "two", topic, two);
        context.await("all-own-all", () -> Context.assigned(first, topic) == 4 && Context.assigned(second, topic) == 4,
            () -> Context.assigned(first, topic) + " and " + Context.assigned(second, topic));
        context.send(producer, topic, "tag", "broadcast", 60);
        context.awaitSame("first-gets-all", Context.numbered("broadcast", 60), one);
        context.awaitSame("second-gets-all", Context.numbered("broadcast", 60), two);
        first.shutdown();
        one.clear();
        context.send(producer, topic, "tag", "later", 20);
        consumer(context, "one", topic, one);
        context.awaitSame("resumes-from-own-offsets", Context.numbered("later", 20), one);
    }

    private DefaultMQPushConsumer consumer(Context context, String instance, String topic, List<String> into) throws Exception {
        DefaultMQPushConsumer consumer = context.pushConsumer("group");
        consumer.setInstanceName(context.name(instance));
        Shim.broadcast(consumer);
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
