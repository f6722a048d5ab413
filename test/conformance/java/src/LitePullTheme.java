import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The lite pull consumer, with queues it was assigned and with queues it takes. */
final class LitePullTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        subscribed(context);
        assigned(context);
    }

    private void subscribed(Context context) throws Exception {
        String topic = context.topic("subscribed", 4);
        DefaultMQProducer producer = context.producer("producer");
        context.send(producer, topic, "tag", "first", 60);
        DefaultLitePullConsumer consumer = consumer(context, "subscribed");
        consumer.subscribe(topic, "*");
        consumer.start();
        context.same("subscribe", Context.numbered("first", 60), poll(consumer, 60));
        Collection<MessageQueue> queues = consumer.fetchMessageQueues(topic);
        // A commit may overtake what poll() handed out last, so it is repeated until it shows.
        context.await("commit-sync", () -> {
            consumer.commitSync();
            return committed(consumer, queues) == 60;
        }, () -> committed(consumer, queues));
        consumer.shutdown();
        restoreOffsets(context, queues);
        context.send(producer, topic, "tag", "second", 30);
        DefaultLitePullConsumer again = consumer(context, "subscribed");
        again.subscribe(topic, "*");
        again.start();
        context.same("resume", Context.numbered("second", 30), poll(again, 30));
    }

    /** A Java broker takes one-way commits on many threads: one sent before the last may have put an offset back. */
    @SuppressWarnings("deprecation")
    private static void restoreOffsets(Context context, Collection<MessageQueue> queues) throws Exception {
        DefaultMQPullConsumer puller = context.pullConsumer("subscribed");
        for (MessageQueue queue : queues) {
            long end = puller.maxOffset(queue);
            if (puller.fetchConsumeOffset(queue, true) != end) {
                puller.getDefaultMQPullConsumerImpl().getOffsetStore().updateConsumeOffsetToBroker(queue, end, false);
            }
        }
        puller.shutdown();
    }

    private static long committed(DefaultLitePullConsumer consumer, Collection<MessageQueue> queues) throws Exception {
        long sum = 0;
        for (MessageQueue queue : queues) {
            sum += Math.max(0, consumer.committed(queue));
        }
        return sum;
    }

    private void assigned(Context context) throws Exception {
        String topic = context.topic("assigned", 2);
        DefaultMQProducer producer = context.producer("assign-producer");
        DefaultLitePullConsumer consumer = consumer(context, "assigned");
        consumer.setAutoCommit(false);
        consumer.start();
        Collection<MessageQueue> queues = consumer.fetchMessageQueues(topic);
        context.equal("fetch-queues", 2, queues.size());
        MessageQueue queue = queues.stream().filter(q -> q.getQueueId() == 0).findFirst().orElseThrow();
        for (int i = 0; i < 40; i++) {
            producer.send(new Message(topic, "tag", ("assign-" + i).getBytes(StandardCharsets.UTF_8)), queue);
        }
        consumer.assign(List.of(queue));
        // The client pulls from the start until it learns of a seek; what is under way is let in first.
        context.same("assign", Context.numbered("assign", 40), poll(consumer, 40));
        consumer.seek(queue, 30);
        List<String> last = new ArrayList<>();
        for (int i = 30; i < 40; i++) {
            last.add("assign-" + i);
        }
        context.same("seek", last, poll(consumer, 10));
        consumer.seekToBegin(queue);
        context.same("seek-to-begin", Context.numbered("assign", 40), poll(consumer, 40));
        consumer.commitSync();
        context.await("committed", () -> consumer.committed(queue) == 40, () -> consumer.committed(queue));
        context.equal("offset-for-past", 0, consumer.offsetForTimestamp(queue, System.currentTimeMillis() - 3600_000));
        context.equal("offset-for-future", 40, consumer.offsetForTimestamp(queue, System.currentTimeMillis() + 3600_000));
    }

    private static DefaultLitePullConsumer consumer(Context context, String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(context.name(group));
        consumer.setNamesrvAddr(context.namesrv);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPollTimeoutMillis(1000);
        context.onClose(consumer::shutdown);
        return consumer;
    }

    /** Polls until there are enough messages and one more poll found nothing. */
    private static List<String> poll(DefaultLitePullConsumer consumer, int count) {
        List<String> bodies = new ArrayList<>();
        long end = System.currentTimeMillis() + Context.WAIT_MS;
        while (System.currentTimeMillis() < end) {
            List<MessageExt> messages = consumer.poll();
            messages.forEach(message -> bodies.add(Context.body(message)));
            if (bodies.size() >= count && messages.isEmpty()) {
                break;
            }
        }
        return bodies;
    }
}
