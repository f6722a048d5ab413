import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Orderly consumption: queue locks at the broker, order per key, a suspended queue repeats and does not skip. */
final class OrderlyTheme implements Theme {
    private final Map<String, List<Integer>> seen = new ConcurrentHashMap<>();
    private final Map<Integer, AtomicInteger> busy = new ConcurrentHashMap<>();
    private final List<String> together = Collections.synchronizedList(new ArrayList<>());
    private final AtomicInteger suspended = new AtomicInteger();

    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 4);
        DefaultMQProducer producer = context.producer("producer");
        DefaultMQPushConsumer first = consumer(context, topic);
        DefaultMQPushConsumer second = consumer(context, topic);
        context.await("queues-are-shared", () -> Context.assigned(first, topic) == 2 && Context.assigned(second, topic) == 2,
            () -> Context.assigned(first, topic) + " and " + Context.assigned(second, topic));
        for (int i = 0; i < 20; i++) {
            for (int key = 0; key < 8; key++) {
                producer.send(new Message(topic, "tag", (key + ":" + i).getBytes(StandardCharsets.UTF_8)),
                    new SelectMessageQueueByHash(), "key-" + key);
            }
        }
        context.await("all-consumed", () -> count() >= 160, this::count);
        List<String> wrong = new ArrayList<>();
        seen.forEach((key, numbers) -> {
            for (int i = 0; i < numbers.size(); i++) {
                if (numbers.get(i) != i) {
                    wrong.add(key + " " + numbers);
                    return;
                }
            }
        });
        context.check("in-order-per-key", wrong.isEmpty() && seen.size() == 8, wrong);
        context.check("one-consumer-a-queue", together.isEmpty(), together);
        context.equal("suspended-once", 1, suspended.get());
        first.shutdown();
        context.await("survivor-gets-the-locks", () -> Context.assigned(second, topic) == 4, () -> Context.assigned(second, topic));
        for (int key = 0; key < 8; key++) {
            producer.send(new Message(topic, "tag", (key + ":20").getBytes(StandardCharsets.UTF_8)),
                new SelectMessageQueueByHash(), "key-" + key);
        }
        context.await("survivor-consumes", () -> count() == 168, this::count);
    }

    private int count() {
        return seen.values().stream().mapToInt(List::size).sum();
    }

    private DefaultMQPushConsumer consumer(Context context, String topic) throws Exception {
        DefaultMQPushConsumer consumer = context.pushConsumer("group");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, state) -> {
            state.setSuspendCurrentQueueTimeMillis(200);
            for (MessageExt message : messages) {
                AtomicInteger workers = busy.computeIfAbsent(message.getQueueId(), id -> new AtomicInteger());
                if (workers.incrementAndGet() != 1) {
                    together.add("queue " + message.getQueueId());
                }
                String[] parts = Context.body(message).split(":");
                try {
                    if (parts[0].equals("3") && parts[1].equals("5") && suspended.compareAndSet(0, 1)) {
                        return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                    }
                    seen.computeIfAbsent(parts[0], key -> Collections.synchronizedList(new ArrayList<>())).add(Integer.valueOf(parts[1]));
                } finally {
                    workers.decrementAndGet();
                }
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        return consumer;
    }
}
