import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What a theme works with: its names, its clients (all shut down at its end) and its checks. */
@SuppressWarnings("deprecation")
final class Context {
    static final long WAIT_MS = 60_000;
    private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    final String namesrv;
    final String run;
    private final String theme;
    private final Deque<Runnable> closers = new ArrayDeque<>();
    private final Map<String, DefaultMQProducer> producers = new HashMap<>();
    private DefaultMQAdminExt admin;
    private DefaultMQPullConsumer reader;

    Context(String theme, String namesrv, String run) {
        this.theme = theme;
        this.namesrv = namesrv;
        this.run = run;
    }

    static synchronized void print(String line) {
        System.out.println(line);
        System.out.flush();
    }

    /** Asks the runner to do something to the broker ("ASK word") and waits for its line. */
    static String ask(String what) throws Exception {
        print("ASK " + what);
        String answer = INPUT.readLine();
        if (answer == null) {
            throw new IllegalStateException("the runner closed standard input at " + what);
        }
        return answer;
    }

    static String reason(Throwable error) {
        StringBuilder text = new StringBuilder();
        for (Throwable at = error; at != null; at = at.getCause()) {
            text.append(text.length() == 0 ? "" : " <- ").append(at.getClass().getSimpleName()).append(": ")
                .append(String.valueOf(at.getMessage()).replace('\n', ' '));
            for (StackTraceElement frame : at.getStackTrace()) {
                if (frame.getClassName().indexOf('.') < 0) {
                    text.append(" at ").append(frame);
                    break;
                }
            }
        }
        return text.toString();
    }

    /** The RocketMQ response code in an exception of the client, or -1. */
    static int code(Throwable error) {
        for (Throwable at = error; at != null; at = at.getCause()) {
            if (at instanceof MQBrokerException) {
                return ((MQBrokerException) at).getResponseCode();
            }
            if (at instanceof MQClientException && ((MQClientException) at).getResponseCode() > 0) {
                return ((MQClientException) at).getResponseCode();
            }
        }
        return -1;
    }

    void pass(String check) {
        print("PASS " + theme + "." + check);
    }

    void fail(String check, String reason) {
        print("FAIL " + theme + "." + check + " " + reason.replace('\n', ' '));
    }

    boolean check(String check, boolean ok, Object found) {
        if (ok) {
            pass(check);
        } else {
            fail(check, "found " + found);
        }
        return ok;
    }

    boolean equal(String check, Object wanted, Object found) {
        if (String.valueOf(wanted).equals(String.valueOf(found))) {
            pass(check);
            return true;
        }
        fail(check, "wanted " + wanted + ", found " + found);
        return false;
    }

    /** Passes when the condition comes true in time; the last value seen is told otherwise. */
    boolean await(String check, Callable<Boolean> condition, Callable<?> found) throws Exception {
        if (await(condition)) {
            pass(check);
            return true;
        }
        fail(check, "after " + WAIT_MS + " ms found " + found.call());
        return false;
    }

    boolean await(Callable<Boolean> condition) throws Exception {
        long end = System.currentTimeMillis() + WAIT_MS;
        while (!condition.call()) {
            if (System.currentTimeMillis() > end) {
                return false;
            }
            Thread.sleep(50);
        }
        return true;
    }

    /** The check passes if the call fails with this RocketMQ response code. */
    void refused(String check, int code, Callable<?> call) {
        try {
            fail(check, "wanted code " + code + ", found no error but " + call.call());
        } catch (Throwable error) {
            if (code(error) == code) {
                pass(check);
            } else {
                fail(check, "wanted code " + code + ", found " + reason(error));
            }
        }
    }

    String name(String name) {
        return run.replace(':', '-') + "-" + theme + "-" + name;
    }

    /** Creates a topic with this number of queues through the admin client and waits for its route. */
    String topic(String name, int queues) throws Exception {
        String topic = name(name);
        Shim.createTopic(admin(), topic, queues);
        await(() -> {
            try {
                return admin().examineTopicRouteInfo(topic).getQueueDatas().size() > 0;
            } catch (MQClientException absent) {
                return false;
            }
        });
        return topic;
    }

    DefaultMQAdminExt admin() throws MQClientException {
        if (admin == null) {
            admin = new DefaultMQAdminExt(5000);
            admin.setNamesrvAddr(namesrv);
            admin.setInstanceName(name("admin"));
            admin.start();
            closers.push(admin::shutdown);
        }
        return admin;
    }

    DefaultMQProducer producer(String group) throws MQClientException {
        return producerOf(name(group));
    }

    /** A started producer of exactly this group; the same one each time. */
    DefaultMQProducer producerOf(String group) throws MQClientException {
        DefaultMQProducer known = producers.get(group);
        if (known != null) {
            return known;
        }
        DefaultMQProducer producer = new DefaultMQProducer(group);
        producers.put(group, producer);
        producer.setNamesrvAddr(namesrv);
        producer.setSendMsgTimeout(10_000);
        producer.start();
        closers.push(producer::shutdown);
        return producer;
    }

    /** A producer that is not yet started; shut down with the theme. */
    DefaultMQProducer newProducer(String group) {
        DefaultMQProducer producer = new DefaultMQProducer(name(group));
        producer.setNamesrvAddr(namesrv);
        closers.push(producer::shutdown);
        return producer;
    }

    /** A push consumer that is not yet started; shut down with the theme. */
    DefaultMQPushConsumer pushConsumer(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(name(group));
        consumer.setNamesrvAddr(namesrv);
        consumer.setConsumeThreadMin(4);
        consumer.setConsumeThreadMax(4);
        closers.push(consumer::shutdown);
        return consumer;
    }

    DefaultMQPullConsumer pullConsumer(String group) throws MQClientException {
        return pullConsumerOf(name(group));
    }

    DefaultMQPullConsumer pullConsumerOf(String group) throws MQClientException {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.start();
        closers.push(consumer::shutdown);
        return consumer;
    }

    void onClose(Runnable closer) {
        closers.push(closer);
    }

    static int assigned(DefaultMQPushConsumer consumer, String topic) {
        int queues = 0;
        for (MessageQueue queue : consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet()) {
            queues += queue.getTopic().equals(topic) ? 1 : 0;
        }
        return queues;
    }

    /** Sends count messages with bodies "prefix-0" ... round robin and fails the theme where one is not stored. */
    void send(DefaultMQProducer producer, String topic, String tag, String prefix, int count) throws Exception {
        for (int i = 0; i < count; i++) {
            String body = prefix + "-" + i;
            producer.send(new Message(topic, tag, body, body.getBytes(StandardCharsets.UTF_8)));
        }
    }

    /**
     * Every stored message of a topic, read queue by queue from its lowest to its highest offset. Waits until the
     * number of messages stands still, since a Java broker fills its queues behind the log.
     */
    List<MessageExt> readAll(String topic) throws Exception {
        long before = -1;
        for (int tries = 0; tries < 50; tries++) {
            long count = stored(topic);
            if (count > 0 && count == before) {
                break;
            }
            before = count;
            Thread.sleep(100);
        }
        List<MessageExt> all = new ArrayList<>();
        for (MessageQueue queue : reader.fetchSubscribeMessageQueues(topic)) {
            long at = reader.minOffset(queue);
            long end = reader.maxOffset(queue);
            while (at < end) {
                PullResult result = reader.pull(queue, "*", at, 32);
                if (result.getPullStatus() == PullStatus.FOUND) {
                    all.addAll(result.getMsgFoundList());
                } else if (result.getNextBeginOffset() <= at) {
                    throw new IllegalStateException("pull of " + queue + " at " + at + " gave " + result);
                }
                at = result.getNextBeginOffset();
            }
        }
        return all;
    }

    long stored(String topic) throws Exception {
        if (reader == null) {
            reader = pullConsumer("reader");
        }
        long sum = 0;
        for (MessageQueue queue : reader.fetchSubscribeMessageQueues(topic)) {
            sum += reader.maxOffset(queue) - reader.minOffset(queue);
        }
        return sum;
    }

    static String body(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    static List<String> bodies(Collection<MessageExt> messages) {
        List<String> bodies = new ArrayList<>();
        for (MessageExt message : messages) {
            bodies.add(body(message));
        }
        bodies.sort(null);
        return bodies;
    }

    static List<String> numbered(String prefix, int count) {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            bodies.add(prefix + "-" + i);
        }
        bodies.sort(null);
        return bodies;
    }

    static List<String> sorted(Collection<String> words) {
        List<String> sorted = new ArrayList<>(words);
        sorted.sort(null);
        return sorted;
    }

    /** What differs between two sorted lists, short enough for a line. */
    static String difference(Collection<String> wanted, Collection<String> found) {
        List<String> missing = new ArrayList<>(wanted);
        List<String> extra = new ArrayList<>(found);
        for (String word : found) {
            missing.remove(word);
        }
        for (String word : wanted) {
            extra.remove(word);
        }
        return "missing " + shorten(missing) + ", extra " + shorten(extra);
    }

    void same(String check, Collection<String> wanted, Collection<String> found) {
        if (sorted(wanted).equals(sorted(found))) {
            pass(check);
        } else {
            fail(check, difference(wanted, found));
        }
    }

    void awaitSame(String check, Collection<String> wanted, Collection<String> found) throws Exception {
        await(() -> found.size() >= wanted.size());
        synchronized (found) {
            same(check, wanted, found);
        }
    }

    private static String shorten(List<String> words) {
        return words.size() > 8 ? words.size() + " " + words.subList(0, 8) + "..." : words.toString();
    }

    static <K, V> String shorten(Map<K, V> map) {
        String text = map.toString();
        return text.length() > 300 ? text.substring(0, 300) + "..." : text;
    }

    void close() {
        for (Runnable closer : closers) {
            try {
                closer.run();
            } catch (Throwable error) {
                System.err.println("closing " + theme + ": " + reason(error));
            }
        }
    }
}
