import java.util.ArrayList;
import java.util.Collections;
import java.util.Properties;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Topics, groups, offsets, connections and name server data through the official admin client. */
final class AdminTheme implements Theme {
    private static final int TOPIC_NOT_EXIST = 17;

    @Override
    public void run(Context context) throws Exception {
        DefaultMQAdminExt admin = context.admin();
        String broker = Shim.brokers(admin).iterator().next();
        topics(context, admin);
        groups(context, admin, broker);
        consumers(context, admin);
        namesrv(context, admin);
        config(context, admin, broker);
    }

    private void topics(Context context, DefaultMQAdminExt admin) throws Exception {
        String topic = context.topic("made", 3);
        var route = admin.examineTopicRouteInfo(topic);
        context.equal("route-queues", "3 3 6", route.getQueueDatas().get(0).getReadQueueNums() + " "
            + route.getQueueDatas().get(0).getWriteQueueNums() + " " + route.getQueueDatas().get(0).getPerm());
        context.equal("route-brokers", 1, route.getBrokerDatas().size());
        context.check("topic-list", admin.fetchAllTopicList().getTopicList().contains(topic), "absent");
        // Said again until it shows: of two topics that a Java broker announces at once, both under the newer data
        // version, any name server takes the second announcement for no change.
        long[] saidAt = {0};
        context.await("update-widens", () -> {
            if (System.currentTimeMillis() - saidAt[0] > 5000) {
                Shim.createTopic(admin, topic, 5);
                saidAt[0] = System.currentTimeMillis();
            }
            return admin.examineTopicRouteInfo(topic).getQueueDatas().get(0).getWriteQueueNums() == 5;
        }, () -> admin.examineTopicRouteInfo(topic));
        DefaultMQProducer producer = context.producer("producer");
        context.send(producer, topic, "tag", "stats", 20);
        var stats = admin.examineTopicStats(topic).getOffsetTable();
        context.equal("stats-queues", 5, stats.size());
        context.equal("stats-messages", 20, stats.values().stream().mapToLong(o -> o.getMaxOffset() - o.getMinOffset()).sum());
        context.check("stats-times", stats.values().stream().allMatch(o -> o.getLastUpdateTimestamp() > 0), stats);
        String gone = context.topic("gone", 1);
        admin.deleteTopicInBroker(Shim.brokers(admin), gone);
        Shim.deleteInNamesrv(admin, context.namesrv.split(";")[0], gone);
        context.refused("deleted-topic-has-no-route", TOPIC_NOT_EXIST, () -> admin.examineTopicRouteInfo(gone));
        context.refused("unknown-topic-has-no-route", TOPIC_NOT_EXIST, () -> admin.examineTopicRouteInfo(context.name("never")));
    }

    private void groups(Context context, DefaultMQAdminExt admin, String broker) throws Exception {
        String group = context.name("made-group");
        Shim.createGroup(admin, group, 7);
        context.equal("group-config", 7, Shim.retryMax(admin, broker, group));
        context.check("group-list", admin.getAllSubscriptionGroup(broker, 5000).getSubscriptionGroupTable().containsKey(group), "absent");
        admin.deleteSubscriptionGroup(broker, group);
        context.check("group-deleted", !admin.getAllSubscriptionGroup(broker, 5000).getSubscriptionGroupTable().containsKey(group), "still there");
    }

    private void consumers(Context context, DefaultMQAdminExt admin) throws Exception {
        String topic = context.topic("consumed", 2);
        DefaultMQProducer producer = context.producer("connected");
        List<String> into = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = PushTheme.consumer(context, topic, into);
        context.send(producer, topic, "tag", "progress", 30);
        context.awaitSame("consumed", Context.numbered("progress", 30), into);
        consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
        String group = context.name("group");
        context.await("progress-diff-is-zero", () -> admin.examineConsumeStats(group, topic).computeTotalDiff() == 0,
            () -> admin.examineConsumeStats(group, topic).getOffsetTable());
        var stats = admin.examineConsumeStats(group, topic).getOffsetTable();
        context.equal("progress-offsets", 30, stats.values().stream().mapToLong(o -> o.getConsumerOffset()).sum());
        var connection = admin.examineConsumerConnectionInfo(group);
        context.equal("consumer-connections", 1, connection.getConnectionSet().size());
        context.check("consumer-subscription", connection.getSubscriptionTable().containsKey(topic), connection.getSubscriptionTable());
        context.equal("consume-type", "CONSUME_PASSIVELY CLUSTERING", connection.getConsumeType() + " " + connection.getMessageModel());
        String client = connection.getConnectionSet().iterator().next().getClientId();
        context.check("consumer-running-info", admin.getConsumerRunningInfo(group, client, false).getMqTable().size() >= 2, "queues");
        // A producer is known to the broker from its first heartbeat after its first send.
        context.await("producer-connections", () -> producerConnections(context, admin, topic) == 1, () -> "none");
        context.check("who-consumes", admin.queryTopicConsumeByWho(topic).getGroupList().contains(group), "absent");
    }

    private static int producerConnections(Context context, DefaultMQAdminExt admin, String topic) {
        try {
            return admin.examineProducerConnectionInfo(context.name("connected"), topic).getConnectionSet().size();
        } catch (Exception notYet) {
            return 0;
        }
    }

    private void namesrv(Context context, DefaultMQAdminExt admin) throws Exception {
        var cluster = admin.examineBrokerClusterInfo();
        context.check("cluster", cluster.getClusterAddrTable().containsKey("DefaultCluster"), cluster.getClusterAddrTable());
        String key = context.name("key");
        admin.createAndUpdateKvConfig("CONFORMANCE", key, "value 值");
        context.equal("kv-config", "value 值", admin.getKVConfig("CONFORMANCE", key));
        context.equal("kv-list", "value 值", admin.getKVListByNamespace("CONFORMANCE").getTable().get(key));
        admin.deleteKvConfig("CONFORMANCE", key);
        context.refused("kv-deleted", 22, () -> admin.getKVConfig("CONFORMANCE", key));
        String ordered = context.topic("ordered", 4);
        admin.createOrUpdateOrderConf(ordered, "broker-a:2", true);
        context.equal("order-conf", "broker-a:2", admin.examineTopicRouteInfo(ordered).getOrderTopicConf());
        var servers = admin.getNameServerConfig(List.of(context.namesrv.split(";")[0]));
        context.check("namesrv-config", servers.values().iterator().next().containsKey("listenPort"), servers.keySet());
    }

    private void config(Context context, DefaultMQAdminExt admin, String broker) throws Exception {
        Properties config = admin.getBrokerConfig(broker);
        context.equal("broker-config", "broker-a", config.getProperty("brokerName"));
        context.check("broker-config-keys", config.containsKey("flushDiskType") && config.containsKey("deleteWhen"), config.size());
        var runtime = admin.fetchBrokerRuntimeStats(broker).getTable();
        context.check("runtime-stats", runtime.containsKey("putTps") && runtime.containsKey("bootTimestamp"), runtime.keySet());
    }
}
