import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** A broker that stops in order, or is killed, and a name server that is killed, start again under clients that stay. */
final class BrokerRestartTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 4);
        DefaultMQProducer producer = context.producer("producer");
        producer.setRetryTimesWhenSendFailed(0);
        List<String> arrived = Collections.synchronizedList(new ArrayList<>());
        PushTheme.consumer(context, topic, arrived);
        Set<String> acknowledged = new LinkedHashSet<>();
        int next = 0;
        for (String way : List.of("start", "stop", "kill", "namesrv")) {
            if (!way.equals("start")) {
                Context.ask(way);
            }
            long end = System.currentTimeMillis() + Context.WAIT_MS;
            int sent = 0;
            while (sent < 50 && System.currentTimeMillis() < end) {
                String body = "restart-" + next++;
                try {
                    producer.send(new Message(topic, "tag", body, body.getBytes(StandardCharsets.UTF_8)));
                    acknowledged.add(body);
                    sent++;
                } catch (Exception unreachable) {
                    Thread.sleep(200);
                }
            }
            context.equal("sends-after-" + way, 50, sent);
            context.await("all-arrive-after-" + way, () -> arrived.containsAll(acknowledged),
                () -> Context.difference(acknowledged, arrived));
        }
        // A name server keeps routes in memory only; the new one has them from the brokers.
        context.await("routes-come-back", () -> context.admin().examineTopicRouteInfo(topic).getQueueDatas().size() == 1, () -> "none");
        List<String> stored = Context.bodies(context.readAll(topic));
        context.check("acknowledged-are-stored", stored.containsAll(acknowledged), Context.difference(acknowledged, stored));
        context.equal("stored-once", new LinkedHashSet<>(stored).size(), stored.size());
    }
}
