import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Date;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;

/**
 * Where a new group starts. A broker answers offset 0 for a new group as long as a queue's first message is at
 * offset 0 and in memory, so on a young topic all three settings begin with the first message.
 */
final class ConsumeFromTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 2);
        DefaultMQProducer producer = context.producer("producer");
        context.send(producer, topic, "tag", "old", 20);
        List<String> first = consumer(context, "first", topic, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        List<String> last = consumer(context, "last", topic, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
        List<String> time = consumer(context, "time", topic, ConsumeFromWhere.CONSUME_FROM_TIMESTAMP);
        context.awaitSame("first", Context.numbered("old", 20), first);
        context.awaitSame("last-on-young-topic", Context.numbered("old", 20), last);
        context.awaitSame("timestamp-on-young-topic", Context.numbered("old", 20), time);
        List<String> wanted = new ArrayList<>(Context.numbered("old", 20));
        wanted.addAll(Context.numbered("new", 10));
        context.send(producer, topic, "tag", "new", 10);
        context.awaitSame("first-goes-on", wanted, first);
        context.awaitSame("last-goes-on", wanted, last);

        String empty = context.topic("empty", 2);
        List<String> waiting = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer early = start(context, "empty", empty, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, waiting);
        context.await(() -> Context.assigned(early, empty) == 2);
        context.send(producer, empty, "tag", "late", 10);
        context.awaitSame("last-on-empty-topic", Context.numbered("late", 10), waiting);
    }

    private static List<String> consumer(Context context, String group, String topic, ConsumeFromWhere where) throws Exception {
        List<String> into = Collections.synchronizedList(new ArrayList<>());
        start(context, group, topic, where, into);
        return into;
    }

    private static DefaultMQPushConsumer start(Context context, String group, String topic, ConsumeFromWhere where, List<String> into)
        throws Exception {
        DefaultMQPushConsumer consumer = context.pushConsumer(group);
        consumer.setConsumeFromWhere(where);
        consumer.setConsumeTimestamp(new SimpleDateFormat("yyyyMMddHHmmss").format(new Date(System.currentTimeMillis() + 3600_000)));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            messages.forEach(message -> into.add(Context.body(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }
}
