import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What the 5.x clients name differently. */
final class Shim {
    /** A blocking request of 5.3.3 gives up as soon as its message is stored. */
    static final boolean WAITS_FOR_REPLIES = false;

    static final boolean BATCH_HAS_AN_ID = true;

    private Shim() { }

    static void broadcast(DefaultMQPushConsumer consumer) {
        consumer.setMessageModel(MessageModel.BROADCASTING);
    }

    static Set<String> brokers(DefaultMQAdminExt admin) throws Exception {
        Set<String> addresses = new TreeSet<>();
        for (var broker : admin.examineBrokerClusterInfo().getBrokerAddrTable().values()) {
            addresses.add(broker.getBrokerAddrs().get(0L));
        }
        return addresses;
    }

    static void createTopic(DefaultMQAdminExt admin, String topic, int queues) throws Exception {
        createTopic(admin, topic, queues, 6);
    }

    static void createTopic(DefaultMQAdminExt admin, String topic, int queues, int perm) throws Exception {
        TopicConfig config = new TopicConfig(topic);
        config.setReadQueueNums(queues);
        config.setWriteQueueNums(queues);
        config.setPerm(perm);
        for (String address : brokers(admin)) {
            admin.createAndUpdateTopicConfig(address, config);
        }
    }

    static void createGroup(DefaultMQAdminExt admin, String group, int retryMax) throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setRetryMaxTimes(retryMax);
        for (String address : brokers(admin)) {
            admin.createAndUpdateSubscriptionGroupConfig(address, config);
        }
    }

    static int retryMax(DefaultMQAdminExt admin, String address, String group) throws Exception {
        return admin.examineSubscriptionGroupConfig(address, group).getRetryMaxTimes();
    }

    static void deleteInNamesrv(DefaultMQAdminExt admin, String namesrv, String topic) throws Exception {
        admin.deleteTopicInNameServer(Set.of(namesrv), topic);
    }
}
