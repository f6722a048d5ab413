import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Half messages: committed ones arrive, rolled back ones do not, unknown ones are asked about. */
final class TransactionTheme implements Theme {
    private static final int EACH = 5;
    private final Map<String, AtomicInteger> checks = new ConcurrentHashMap<>();

    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 2);
        List<MessageExt> arrived = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = context.pushConsumer("group");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            arrived.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();

        TransactionMQProducer producer = new TransactionMQProducer(context.name("producer"));
        producer.setNamesrvAddr(context.namesrv);
        producer.setTransactionListener(new Decide());
        producer.start();
        context.onClose(producer::shutdown);

        List<String> wanted = new ArrayList<>();
        List<String> results = new ArrayList<>();
        for (String kind : List.of("commit", "rollback", "later-commit", "later-rollback", "asked-twice")) {
            for (int i = 0; i < EACH; i++) {
                String body = kind + "-" + i;
                Message message = new Message(topic, "tag", body, body.getBytes(StandardCharsets.UTF_8));
                message.putUserProperty("kind", kind);
                SendResult result = producer.sendMessageInTransaction(message, kind);
                results.add(result.getSendStatus().toString());
                if (!kind.endsWith("rollback")) {
                    wanted.add(body);
                }
            }
        }
        context.check("half-messages-stored", results.stream().allMatch("SEND_OK"::equals), results);
        context.await(() -> arrived.size() >= wanted.size());
        Thread.sleep(3000);
        List<MessageExt> copy;
        synchronized (arrived) {
            copy = new ArrayList<>(arrived);
        }
        context.same("committed-arrive-once", Context.sorted(wanted), Context.bodies(copy));
        context.check("prepared-flag-is-kept", copy.stream().allMatch(m -> "true".equals(m.getProperty("TRAN_MSG"))), copy);
        context.check("transaction-ids", copy.stream().allMatch(m -> m.getTransactionId() != null && m.getTransactionId().equals(m.getMsgId())), copy);
        context.check("committed-are-stored-once", context.stored(topic) == wanted.size(), context.stored(topic));
        context.check("settled-are-not-checked", !checks.containsKey("commit") && !checks.containsKey("rollback"), checks);
        context.await("unknown-are-checked", () -> count("later-commit") >= EACH && count("later-rollback") >= EACH, () -> checks);
        context.check("asked-again", count("asked-twice") >= 2 * EACH, checks);
    }

    private int count(String kind) {
        AtomicInteger count = checks.get(kind);
        return count == null ? 0 : count.get();
    }

    private final class Decide implements TransactionListener {
        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object kind) {
            switch (kind.toString()) {
                case "commit": return LocalTransactionState.COMMIT_MESSAGE;
                case "rollback": return LocalTransactionState.ROLLBACK_MESSAGE;
                default: return LocalTransactionState.UNKNOW;
            }
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            String kind = message.getUserProperty("kind");
            int asked = checks.computeIfAbsent(kind, any -> new AtomicInteger()).incrementAndGet();
            switch (kind) {
                case "later-commit": return LocalTransactionState.COMMIT_MESSAGE;
                case "asked-twice": return asked <= EACH ? LocalTransactionState.UNKNOW : LocalTransactionState.COMMIT_MESSAGE;
                default: return LocalTransactionState.ROLLBACK_MESSAGE;
            }
        }
    }
}
