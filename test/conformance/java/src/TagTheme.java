import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** Tag expressions; "Aa" and "BB" have the same hash in Java, so the broker lets both pass and the client does not. */
final class TagTheme implements Theme {
    private static final String[] TAGS = {"red", "green", "blue", "Aa", "BB", null};

    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 2);
        DefaultMQProducer producer = context.producer("producer");
        List<String> twoTags = consumer(context, "two", topic, "red || blue");
        List<String> oneTag = consumer(context, "one", topic, "green");
        List<String> collision = consumer(context, "collision", topic, "Aa");
        List<String> all = consumer(context, "all", topic, "*");
        List<String> every = new ArrayList<>();
        for (int i = 0; i < 60; i++) {
            String tag = TAGS[i % TAGS.length];
            String body = tag + "-" + i;
            every.add(body);
            producer.send(new Message(topic, tag, body.getBytes(StandardCharsets.UTF_8)));
        }
        context.awaitSame("star", every, all);
        context.awaitSame("two-tags", having(every, "red-", "blue-"), twoTags);
        context.awaitSame("one-tag", having(every, "green-"), oneTag);
        context.awaitSame("colliding-hash", having(every, "Aa-"), collision);

        DefaultMQPushConsumer sql = context.pushConsumer("sql");
        sql.subscribe(topic, MessageSelector.bySql("a > 5"));
        sql.registerMessageListener((MessageListenerConcurrently) (messages, state) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        try {
            sql.start();
            context.fail("sql-is-not-enabled", "the consumer started");
        } catch (Exception error) {
            context.check("sql-is-not-enabled", Context.reason(error).contains("not support consumer to filter message by SQL92"), Context.reason(error));
        }
    }

    private static List<String> having(List<String> bodies, String... prefixes) {
        List<String> found = new ArrayList<>();
        for (String body : bodies) {
            for (String prefix : prefixes) {
                if (body.startsWith(prefix)) {
                    found.add(body);
                }
            }
        }
        return found;
    }

    private static List<String> consumer(Context context, String group, String topic, String expression) throws Exception {
        List<String> into = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = context.pushConsumer(group);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, expression);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            messages.forEach(message -> into.add(Context.body(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return into;
    }
}
