import java.io.BufferedWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.zip.CRC32;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * A producer and a push consumer that go on while the runner does things to the cluster.
 *
 * Asks "fault" under load; the answer is "NAME LEDGER [strict] [noconsume]", or "end". After the fault it waits until sends succeed again,
 * halts, appends what was acknowledged with SEND_OK to the file LEDGER (a line each: body's first word, broker,
 * queue, queue offset, CRC) and asks "verify". With "strict" no send may have failed, retries included, during the fault.
 */
final class ClusterLoadTheme implements Theme {
    private static final int THREADS = 4;
    private static final int AFTER = 300;
    private static final long PAUSE_MS = 2;
    /** The interval of route refreshes: the steps follow each other faster than 30 s, in which a client would still know the last one's route. */
    private static final int POLL_MS = 3000;

    private final ReadWriteLock gate = new ReentrantReadWriteLock(true);
    private final ConcurrentLinkedQueue<String> ledger = new ConcurrentLinkedQueue<>();
    private final Set<String> acknowledged = ConcurrentHashMap.newKeySet();
    private final Set<String> consumed = ConcurrentHashMap.newKeySet();
    private final AtomicLong numbers = new AtomicLong();
    private final AtomicInteger stored = new AtomicInteger();
    private final AtomicInteger failed = new AtomicInteger();
    private final Map<String, AtomicInteger> otherwise = new ConcurrentHashMap<>();
    private volatile boolean running = true;

    @Override
    public long msMax() {
        return 480_000;
    }

    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 4);
        consume(context, topic);
        DefaultMQProducer producer = context.newProducer("producer");
        producer.setPollNameServerInterval(POLL_MS);
        producer.setSendMsgTimeout(Integer.getInteger("conformance.sendTimeout", 3000));
        producer.setRetryTimesWhenSendFailed(4);
        producer.setRetryAnotherBrokerWhenNotStoreOK(true);
        producer.setSendLatencyFaultEnable(true);
        producer.start();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            Thread thread = new Thread(() -> produce(producer, topic), "load-" + i);
            thread.setDaemon(true);
            thread.start();
            threads.add(thread);
        }
        awaitSends(context, "start");
        for (;;) {
            failed.set(0);
            otherwise.clear();
            String[] answer = Context.ask("fault").split(" ");
            if (answer[0].equals("end")) {
                break;
            }
            awaitSends(context, answer[0]);
            gate.writeLock().lock();
            try {
                if (List.of(answer).contains("strict")) {
                    context.check("no-failed-send-" + answer[0], failed.get() == 0, failed.get() + " failed: " + new TreeMap<>(otherwise));
                }
                writeLedger(answer[1]);
                if (!List.of(answer).contains("noconsume")) {
                    context.await("all-arrive-after-" + answer[0], () -> consumed.containsAll(acknowledged), this::missing);
                }
                Context.ask("verify");
            } finally {
                gate.writeLock().unlock();
            }
        }
        running = false;
        for (Thread thread : threads) {
            thread.join(20_000);
        }
        context.await("all-arrive", () -> consumed.containsAll(acknowledged), this::missing);
        System.err.println("acknowledged " + acknowledged.size() + ", consumed " + consumed.size());
    }

    private String missing() {
        List<String> absent = new ArrayList<>(acknowledged);
        absent.removeAll(consumed);
        return absent.size() + " of " + acknowledged.size() + " missing, such as " + absent.subList(0, Math.min(5, absent.size()));
    }

    private void awaitSends(Context context, String after) throws Exception {
        stored.set(0);
        context.await("sends-succeed-after-" + after, () -> stored.get() >= AFTER,
            () -> stored.get() + " stored, otherwise " + new TreeMap<>(otherwise));
    }

    private void consume(Context context, String topic) throws Exception {
        DefaultMQPushConsumer consumer = context.pushConsumer("group");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPollNameServerInterval(POLL_MS);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, state) -> {
            messages.forEach(message -> consumed.add(firstWord(message.getBody())));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
    }

    private static String firstWord(byte[] body) {
        int end = 0;
        while (body[end] != ' ') {
            end++;
        }
        return new String(body, 0, end, StandardCharsets.UTF_8);
    }

    private void produce(DefaultMQProducer producer, String topic) {
        while (running) {
            gate.readLock().lock();
            try {
                long number = numbers.getAndIncrement();
                String id = "load-" + number;
                byte[] body = (id + " " + "x".repeat((int) (number * 7919 % 1500))).getBytes(StandardCharsets.UTF_8);
                try {
                    SendResult result = producer.send(new Message(topic, "tag", id, body));
                    if (result.getSendStatus() == SendStatus.SEND_OK) {
                        CRC32 crc = new CRC32();
                        crc.update(body);
                        ledger.add(id + " " + result.getMessageQueue().getBrokerName() + " " + result.getMessageQueue().getQueueId()
                            + " " + result.getQueueOffset() + " " + (crc.getValue() & 0x7fffffff));
                        acknowledged.add(id);
                        stored.incrementAndGet();
                    } else {
                        count(result.getSendStatus().toString());
                    }
                } catch (Exception error) {
                    failed.incrementAndGet();
                    count(Context.reason(error).replaceAll("\\d+", "#"));
                }
            } finally {
                gate.readLock().unlock();
            }
            try {
                Thread.sleep(PAUSE_MS);
            } catch (InterruptedException stop) {
                return;
            }
        }
    }

    private void count(String what) {
        String key = what.length() > 160 ? what.substring(0, 160) : what;
        if (otherwise.size() < 20) {
            otherwise.computeIfAbsent(key, absent -> new AtomicInteger()).incrementAndGet();
        }
    }

    private void writeLedger(String file) throws Exception {
        try (BufferedWriter out = Files.newBufferedWriter(Paths.get(file), StandardOpenOption.CREATE, StandardOpenOption.APPEND)) {
            for (String line = ledger.poll(); line != null; line = ledger.poll()) {
                out.write(line);
                out.newLine();
            }
        }
    }
}
