import java.nio.charset.StandardCharsets;
import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Date;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/** Where new groups start, and what a pull below the first message gets, once a broker has deleted its oldest files. */
@SuppressWarnings("deprecation")
final class ConsumeFromMiddleTheme implements Theme {
    private static final long CLEANED_MS = 150_000;

    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 1);
        DefaultMQProducer producer = context.producer("producer");
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        DefaultMQPullConsumer puller = context.pullConsumer("puller");
        MessageQueue queue = puller.fetchSubscribeMessageQueues(topic).iterator().next();
        byte[] large = new byte[100 * 1024];
        for (int i = 0; i < 50; i++) {
            producer.send(new Message(topic, large));
        }
        long end = System.currentTimeMillis() + CLEANED_MS;
        while (puller.minOffset(queue) == 0 && System.currentTimeMillis() < end) {
            Thread.sleep(500);
        }
        long min = puller.minOffset(queue);
        context.check("oldest-files-deleted", min > 0 && min <= 50, min);
        PullResult below = puller.pull(queue, "*", 0, 32);
        context.equal("below-first", PullStatus.OFFSET_ILLEGAL, below.getPullStatus());
        // Files go one by one: the next may have gone between two of these questions.
        long next = below.getNextBeginOffset();
        long after = puller.minOffset(queue);
        context.check("below-first-next", min <= next && next <= after, min + " <= " + next + " <= " + after);

        context.send(producer, topic, "tag", "past", 10);
        Thread.sleep(2500);
        String second = new SimpleDateFormat("yyyyMMddHHmmss").format(new Date());
        Thread.sleep(1500);
        context.send(producer, topic, "tag", "recent", 10);
        List<String> first = new ArrayList<>();
        start(context, "first", topic, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET, second, first);
        List<String> timestamp = new ArrayList<>();
        start(context, "timestamp", topic, ConsumeFromWhere.CONSUME_FROM_TIMESTAMP, second, timestamp);
        List<String> last = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer latest = start(context, "last", topic, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, second, last);
        context.await(() -> Context.assigned(latest, topic) == 1);
        context.send(producer, topic, "tag", "new", 10);
        List<String> recent = new ArrayList<>(Context.numbered("recent", 10));
        recent.addAll(Context.numbered("new", 10));
        context.awaitSame("last", Context.numbered("new", 10), last);
        context.awaitSame("timestamp", recent, timestamp);
        List<String> all = new ArrayList<>(recent);
        all.addAll(Context.numbered("past", 10));
        context.awaitSame("first", all, first);
    }

    /** Collects small bodies only: the large ones just fill files. */
    private static DefaultMQPushConsumer start(Context context, String group, String topic, ConsumeFromWhere where, String second, List<String> into)
        throws Exception {
        DefaultMQPushConsumer consumer = context.pushConsumer(group);
        consumer.setConsumeFromWhere(where);
        consumer.setConsumeTimestamp(second);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            messages.stream().filter(message -> message.getBody().length < 1000).forEach(message -> {
                synchronized (into) {
                    into.add(new String(message.getBody(), StandardCharsets.UTF_8));
                }
            });
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }
}
