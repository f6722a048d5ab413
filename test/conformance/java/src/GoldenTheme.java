import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** A little of everything a store and a wire can hold, for test/golden/record.mjs. */
final class GoldenTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 2);
        DefaultMQProducer producer = context.producer("producer");
        context.send(producer, topic, "tag", "golden", 30);
        Message unicode = new Message(topic, "标签", "k1 k2", 5, "世界 😀".getBytes(StandardCharsets.UTF_8), true);
        unicode.putUserProperty("user", "värde");
        producer.send(unicode);
        byte[] soft = new byte[5000];
        Arrays.fill(soft, (byte) 'z');
        producer.send(new Message(topic, soft));
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            batch.add(new Message(topic, "tag", "batch" + i, ("batch-" + i).getBytes(StandardCharsets.UTF_8)));
        }
        producer.send(batch);
        producer.sendOneway(new Message(topic, "oneway".getBytes(StandardCharsets.UTF_8)));
        Message soon = new Message(topic, "soon".getBytes(StandardCharsets.UTF_8));
        soon.setDelayTimeLevel(1);
        producer.send(soon);
        Message pending = new Message(topic, "pending".getBytes(StandardCharsets.UTF_8));
        pending.setDelayTimeLevel(17);
        producer.send(pending);
        transactions(context, topic);

        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = context.pushConsumer("group");
        consumer.setMaxReconsumeTimes(1);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            MessageExt message = messages.get(0);
            seen.add(Context.body(message));
            return Context.body(message).equals("golden-3") ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        context.await("retried", () -> Collections.frequency(seen, "golden-3") == 2, () -> seen);
        context.await("delayed", () -> seen.contains("soon"), () -> seen);
        context.check("read", context.readAll(topic).size() >= 38, context.stored(topic));
    }

    private static void transactions(Context context, String topic) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(context.name("transaction"));
        producer.setNamesrvAddr(context.namesrv);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object state) {
                return (LocalTransactionState) state;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        producer.start();
        context.onClose(producer::shutdown);
        for (LocalTransactionState state : LocalTransactionState.values()) {
            producer.sendMessageInTransaction(new Message(topic, state.toString().getBytes(StandardCharsets.UTF_8)), state);
        }
    }
}
