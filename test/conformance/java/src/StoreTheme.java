import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * A store that goes from one broker to another. The run name is "PREFIX:ROUND": step n verifies that rounds
 * 0 to n-1 are all there (bodies, order, properties, index, consumer offsets, topic and group settings) and writes round n.
 */
@SuppressWarnings("deprecation")
final class StoreTheme implements Theme {
    private static final int QUEUES = 3;
    private static final int EACH = 40;
    private final boolean write;

    StoreTheme(boolean write) {
        this.write = write;
    }

    @Override
    public void run(Context context) throws Exception {
        String[] parts = context.run.split(":");
        String topic = parts[0] + "-store";
        int round = Integer.parseInt(parts[1]);
        if (round > 0) {
            verify(context, topic, round - 1);
        }
        if (write) {
            write(context, topic, round);
        }
    }

    private void write(Context context, String topic, int round) throws Exception {
        if (round == 0) {
            Shim.createTopic(context.admin(), topic, QUEUES);
            Shim.createTopic(context.admin(), topic + "-late", 1);
            Shim.createTopic(context.admin(), topic + "-half", 1);
            Shim.createGroup(context.admin(), topic + "-group", 5);
            context.await(() -> !queues(context, topic).isEmpty());
        }
        DefaultMQProducer producer = context.producerOf(topic + "-producer");
        for (MessageQueue queue : queues(context, topic)) {
            for (int i = 0; i < EACH; i++) {
                producer.send(message(topic, round, queue.getQueueId(), i), queue);
            }
            List<Message> batch = new ArrayList<>();
            for (int i = EACH; i < EACH + 5; i++) {
                batch.add(message(topic, round, queue.getQueueId(), i));
            }
            producer.send(batch, queue);
        }
        unfinished(context, topic, round);
        DefaultMQPullConsumer consumer = context.pullConsumerOf(topic + "-group");
        for (MessageQueue queue : queues(context, topic)) {
            consumer.getDefaultMQPullConsumerImpl().getOffsetStore().updateConsumeOffsetToBroker(queue, committed(round, queue.getQueueId()), false);
        }
        for (MessageQueue queue : queues(context, topic)) {
            context.equal("commit-" + round + "-" + queue.getQueueId(), committed(round, queue.getQueueId()), consumer.fetchConsumeOffset(queue, true));
        }
    }

    /** A delayed and a half message: the next broker delivers the one and asks about the other, if this one does not. */
    private static void unfinished(Context context, String topic, int round) throws Exception {
        Message late = new Message(topic + "-late", ("late-" + round).getBytes(StandardCharsets.UTF_8));
        late.setDelayTimeLevel(3);
        context.producerOf(topic + "-producer").send(late);
        Message half = new Message(topic + "-half", ("half-" + round).getBytes(StandardCharsets.UTF_8));
        asker(context, topic).sendMessageInTransaction(half, null);
    }

    /** A producer that leaves its transactions open and commits them when it is asked. */
    private static TransactionMQProducer asker(Context context, String topic) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(topic + "-asker");
        producer.setNamesrvAddr(context.namesrv);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object state) {
                return LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        });
        producer.start();
        context.onClose(producer::shutdown);
        // It is asked once the broker knows it, by a heartbeat that goes to brokers of known routes only.
        producer.fetchPublishMessageQueues(topic + "-half");
        producer.getDefaultMQProducerImpl().getMqClientFactory().updateTopicRouteInfoFromNameServer(topic + "-half");
        context.await(() -> {
            producer.getDefaultMQProducerImpl().getMqClientFactory().sendHeartbeatToAllBrokerWithLock();
            try {
                return !context.admin().examineProducerConnectionInfo(topic + "-asker", topic + "-half").getConnectionSet().isEmpty();
            } catch (MQBrokerException unknown) {
                return false;
            }
        });
        return producer;
    }

    /** A broker that was killed may have delivered twice what it had not yet noted; it may lose nothing. */
    private static void finished(Context context, String topic, int rounds) throws Exception {
        asker(context, topic);
        for (String kind : List.of("late", "half")) {
            Set<String> wanted = new TreeSet<>(Context.numbered(kind, rounds + 1));
            context.await(kind + "-messages-arrive", () -> new TreeSet<>(Context.bodies(context.readAll(topic + "-" + kind))).equals(wanted),
                () -> Context.bodies(context.readAll(topic + "-" + kind)));
        }
    }

    private static long committed(int round, int queueId) {
        return round * 10L + queueId + 1;
    }

    /** Small and large bodies, compressed ones among them, keys, tags and properties; all follow from their place. */
    private static Message message(String topic, int round, int queueId, int i) {
        Message message = new Message(topic, "tag" + i % 4, key(round, queueId, i), body(round, queueId, i));
        message.putUserProperty("place", round + "/" + queueId + "/" + i);
        return message;
    }

    private static String key(int round, int queueId, int i) {
        return "key-" + round + "-" + queueId + "-" + i;
    }

    private static byte[] body(int round, int queueId, int i) {
        byte[] start = ("body " + round + " " + queueId + " " + i + " ").getBytes(StandardCharsets.UTF_8);
        byte[] body = Arrays.copyOf(start, i % 10 == 9 ? 9000 : start.length + i);
        Arrays.fill(body, start.length, body.length, (byte) ('a' + i % 26));
        return body;
    }

    private List<MessageQueue> queues(Context context, String topic) throws Exception {
        try {
            return context.producerOf(topic + "-producer").fetchPublishMessageQueues(topic);
        } catch (Exception notYet) {
            return List.of();
        }
    }

    private void verify(Context context, String topic, int rounds) throws Exception {
        context.await("route", () -> queues(context, topic).size() == QUEUES, () -> queues(context, topic));
        DefaultMQPullConsumer consumer = context.pullConsumerOf(topic + "-group");
        for (MessageQueue queue : queues(context, topic)) {
            int total = (rounds + 1) * (EACH + 5);
            context.equal("queue-" + queue.getQueueId() + "-max", total, consumer.maxOffset(queue));
            context.equal("queue-" + queue.getQueueId() + "-messages", "all right", read(consumer, queue, total));
            context.equal("queue-" + queue.getQueueId() + "-committed", committed(rounds, queue.getQueueId()), consumer.fetchConsumeOffset(queue, true));
        }
        context.equal("group-config", 5, Shim.retryMax(context.admin(), Shim.brokers(context.admin()).iterator().next(), topic + "-group"));
        finished(context, topic, rounds);
        long end = System.currentTimeMillis() + 1000;
        for (int round = 0; round <= rounds; round++) {
            for (int i : new int[] {0, 9, EACH + 3}) {
                QueryResult found = context.admin().queryMessage(topic, key(round, 1, i), 32, 0, end);
                boolean one = found.getMessageList().size() == 1 && Arrays.equals(body(round, 1, i), found.getMessageList().get(0).getBody());
                context.check("by-key-" + round + "-" + i, one, found.getMessageList());
            }
        }
    }

    private static String read(DefaultMQPullConsumer consumer, MessageQueue queue, int total) throws Exception {
        long at = 0;
        while (at < total) {
            PullResult result = consumer.pull(queue, "*", at, 32);
            if (result.getMsgFoundList() == null || result.getMsgFoundList().isEmpty()) {
                return result + " at " + at;
            }
            for (MessageExt message : result.getMsgFoundList()) {
                int round = (int) (at / (EACH + 5));
                int i = (int) (at % (EACH + 5));
                boolean right = message.getQueueOffset() == at && Arrays.equals(body(round, queue.getQueueId(), i), message.getBody())
                    && key(round, queue.getQueueId(), i).equals(message.getKeys()) && ("tag" + i % 4).equals(message.getTags())
                    && (round + "/" + queue.getQueueId() + "/" + i).equals(message.getUserProperty("place"));
                if (!right) {
                    return "at " + at + ": " + message;
                }
                at++;
            }
        }
        return "all right";
    }
}
