import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;

/** Two brokers of different make in one cluster: clients spread over both and share the queues of both. */
final class ClusterTheme implements Theme {
    private static final int QUEUES = 4;

    @Override
    public void run(Context context) throws Exception {
        context.equal("brokers", 2, Shim.brokers(context.admin()).size());
        String topic = context.topic("topic", QUEUES);
        for (String namesrv : context.namesrv.split(";")) {
            Context one = new Context("cluster", namesrv, context.run + namesrv.substring(namesrv.indexOf(':') + 1));
            context.onClose(one::close);
            context.await("both-brokers-in-the-routes-of-" + namesrv,
                () -> one.admin().examineTopicRouteInfo(topic).getQueueDatas().size() == 2,
                () -> one.admin().examineTopicRouteInfo(topic));
        }
        List<String> one = Collections.synchronizedList(new ArrayList<>());
        List<String> two = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer first = PushTheme.consumer(context, topic, one);
        DefaultMQPushConsumer second = PushTheme.consumer(context, topic, two);
        context.await("queues-are-shared",
            () -> Context.assigned(first, topic) == QUEUES && Context.assigned(second, topic) == QUEUES,
            () -> Context.assigned(first, topic) + " and " + Context.assigned(second, topic));
        DefaultMQProducer producer = context.producer("producer");
        context.send(producer, topic, "tag", "cluster", 80);
        context.await(() -> one.size() + two.size() >= 80);
        List<String> both = new ArrayList<>(one);
        both.addAll(two);
        context.same("each-message-once", Context.numbered("cluster", 80), both);
        Map<String, Integer> perBroker = new TreeMap<>();
        for (MessageExt message : context.readAll(topic)) {
            perBroker.merge(message.getBrokerName(), 1, Integer::sum);
        }
        context.check("both-brokers-store", perBroker.size() == 2 && perBroker.values().stream().allMatch(count -> count >= 30), perBroker);
    }
}
