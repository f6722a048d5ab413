import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages that a listener refuses come back with a delay and end in the group's dead letter queue. */
final class RetryTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        concurrent(context);
        straightToTheEnd(context);
        orderly(context);
    }

    private void concurrent(Context context) throws Exception {
        String topic = context.topic("topic", 2);
        Map<String, List<MessageExt>> tries = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = context.pushConsumer("group");
        consumer.setMaxReconsumeTimes(2);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            for (MessageExt message : messages) {
                String body = Context.body(message);
                tries.computeIfAbsent(body, any -> Collections.synchronizedList(new ArrayList<>())).add(message);
                boolean now = body.startsWith("good") || body.startsWith("second") && message.getReconsumeTimes() == 1;
                return now ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        DefaultMQProducer producer = context.producer("producer");
        context.send(producer, topic, "tag", "good", 3);
        context.send(producer, topic, "tag", "second", 3);
        context.send(producer, topic, "tag", "bad", 3);
        String dead = "%DLQ%" + context.name("group");
        context.await("dead-letters-arrive", () -> storedOrZero(context, dead) == 3, () -> storedOrZero(context, dead));
        context.equal("times-good", "[0]", reconsumeTimes(tries, "good-0"));
        context.equal("times-second", "[0, 1]", reconsumeTimes(tries, "second-1"));
        context.equal("times-bad", "[0, 1, 2]", reconsumeTimes(tries, "bad-2"));
        List<MessageExt> bad = tries.get("bad-0");
        MessageExt retried = bad.get(bad.size() - 1);
        context.equal("retry-has-original-topic", topic, retried.getTopic());
        context.equal("retry-keeps-key", "bad-0", retried.getKeys());
        context.equal("retry-keeps-tag", "tag", retried.getTags());
        context.equal("retry-names-origin", bad.get(0).getProperty("UNIQ_KEY"), retried.getProperty("UNIQ_KEY"));
        context.check("retry-origin-id", String.valueOf(retried.getProperty("ORIGIN_MESSAGE_ID")).length() == 32, retried);
        List<MessageExt> letters = context.readAll(dead);
        context.same("dead-letter-bodies", Context.numbered("bad", 3), Context.bodies(letters));
        context.check("dead-letter-names-topic", letters.stream().allMatch(m -> topic.equals(m.getProperty("RETRY_TOPIC"))), letters);
        context.equal("dead-letter-topic", dead, letters.get(0).getTopic());
    }

    private void straightToTheEnd(Context context) throws Exception {
        String topic = context.topic("straight", 1);
        DefaultMQPushConsumer consumer = context.pushConsumer("straight");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            state.setDelayLevelWhenNextConsume(-1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        DefaultMQProducer producer = context.producer("straight-producer");
        producer.send(new Message(topic, "hopeless".getBytes(StandardCharsets.UTF_8)));
        String dead = "%DLQ%" + context.name("straight");
        context.await("negative-level-is-dead-at-once", () -> storedOrZero(context, dead) == 1, () -> storedOrZero(context, dead));
    }

    private void orderly(Context context) throws Exception {
        String topic = context.topic("orderly", 1);
        List<String> tries = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = context.pushConsumer("orderly");
        consumer.setMaxReconsumeTimes(2);
        consumer.setSuspendCurrentQueueTimeMillis(100);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, state) -> {
            tries.add(Context.body(messages.get(0)));
            boolean good = Context.body(messages.get(0)).equals("good");
            return good ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
        });
        consumer.start();
        DefaultMQProducer producer = context.producer("orderly-producer");
        producer.send(new Message(topic, "bad".getBytes(StandardCharsets.UTF_8)));
        producer.send(new Message(topic, "good".getBytes(StandardCharsets.UTF_8)));
        String dead = "%DLQ%" + context.name("orderly");
        context.await("orderly-dead-letter", () -> storedOrZero(context, dead) == 1, () -> storedOrZero(context, dead));
        context.await("orderly-goes-on", () -> tries.contains("good"), () -> tries);
    }

    private static String reconsumeTimes(Map<String, List<MessageExt>> tries, String body) {
        List<Integer> times = new ArrayList<>();
        for (MessageExt message : tries.getOrDefault(body, List.of())) {
            times.add(message.getReconsumeTimes());
        }
        return times.toString();
    }

    private static long storedOrZero(Context context, String topic) {
        try {
            return context.stored(topic);
        } catch (Exception notYet) {
            return 0;
        }
    }
}
