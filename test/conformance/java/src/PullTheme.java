import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Plain pulls at every kind of offset, long polling, and the offset calls. */
@SuppressWarnings("deprecation")
final class PullTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 1);
        DefaultMQProducer producer = context.producer("producer");
        DefaultMQPullConsumer consumer = context.pullConsumer("group");
        Set<MessageQueue> queues = consumer.fetchSubscribeMessageQueues(topic);
        context.equal("queues", 1, queues.size());
        MessageQueue queue = queues.iterator().next();
        context.equal("empty-max", 0, consumer.maxOffset(queue));
        context.equal("empty-min", 0, consumer.minOffset(queue));
        context.equal("empty-pull", PullStatus.NO_NEW_MSG, consumer.pull(queue, "*", 0, 32).getPullStatus());

        long before = System.currentTimeMillis();
        context.send(producer, topic, "odd", "pull", 50);
        Thread.sleep(20);
        long between = System.currentTimeMillis();
        Thread.sleep(20);
        context.send(producer, topic, "even", "late", 50);
        context.await("max", () -> consumer.maxOffset(queue) == 100, () -> consumer.maxOffset(queue));
        context.equal("min", 0, consumer.minOffset(queue));

        PullResult head = consumer.pull(queue, "*", 0, 10);
        context.equal("found", PullStatus.FOUND, head.getPullStatus());
        context.equal("found-count", 10, head.getMsgFoundList().size());
        context.equal("found-next", 10, head.getNextBeginOffset());
        context.equal("found-bounds", "0 100", head.getMinOffset() + " " + head.getMaxOffset());
        boolean ordered = true;
        for (int i = 0; i < 10; i++) {
            MessageExt message = head.getMsgFoundList().get(i);
            ordered &= message.getQueueOffset() == i && Context.body(message).equals("pull-" + i);
        }
        context.check("found-in-order", ordered, head.getMsgFoundList());

        PullResult tagged = consumer.pull(queue, "even", 0, 32);
        context.equal("tag-filter", PullStatus.FOUND, tagged.getPullStatus());
        context.equal("tag-filter-first", "late-0", Context.body(tagged.getMsgFoundList().get(0)));
        PullResult none = consumer.pull(queue, "missing", 0, 32);
        context.equal("no-match", PullStatus.NO_MATCHED_MSG, none.getPullStatus());
        context.equal("no-match-next", 100, none.getNextBeginOffset());
        PullResult end = consumer.pull(queue, "*", 100, 32);
        context.equal("at-end", PullStatus.NO_NEW_MSG, end.getPullStatus());
        context.equal("at-end-next", 100, end.getNextBeginOffset());
        PullResult beyond = consumer.pull(queue, "*", 105, 32);
        context.equal("beyond", PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus());
        context.equal("beyond-next", 100, beyond.getNextBeginOffset());

        CompletableFuture<PullResult> woken = CompletableFuture.supplyAsync(() -> {
            try {
                return consumer.pullBlockIfNotFound(queue, "*", 100, 32);
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
        Thread.sleep(1000);
        context.check("long-poll-waits", !woken.isDone(), "done");
        producer.send(new Message(topic, "odd", "wake".getBytes(StandardCharsets.UTF_8)));
        PullResult wake = woken.get(15, TimeUnit.SECONDS);
        context.equal("long-poll-wakes", PullStatus.FOUND, wake.getPullStatus());
        context.equal("long-poll-body", "wake", Context.body(wake.getMsgFoundList().get(0)));

        context.equal("search-before", 0, consumer.searchOffset(queue, before - 60_000));
        context.equal("search-between", 50, consumer.searchOffset(queue, between));
        context.equal("search-after", 101, consumer.searchOffset(queue, System.currentTimeMillis() + 60_000));
        long earliest = consumer.earliestMsgStoreTime(queue);
        context.check("earliest-store-time", earliest >= before - 1000 && earliest <= between, earliest);

        context.equal("no-offset-yet", true, consumer.fetchConsumeOffset(queue, true) <= 0);
        consumer.updateConsumeOffset(queue, 42);
        consumer.getDefaultMQPullConsumerImpl().getOffsetStore().updateConsumeOffsetToBroker(queue, 42, false);
        context.equal("offset-kept", 42, consumer.fetchConsumeOffset(queue, true));

        MessageExt viewed = context.admin().viewMessage(topic, offsetId(head.getMsgFoundList().get(3)));
        context.equal("view-by-offset-id", "pull-3", Context.body(viewed));
    }

    private static String offsetId(MessageExt message) {
        return ((org.apache.rocketmq.common.message.MessageClientExt) message).getOffsetMsgId();
    }
}
