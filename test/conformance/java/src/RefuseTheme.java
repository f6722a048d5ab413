import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/** What a broker refuses, with RocketMQ's own response code. */
@SuppressWarnings("deprecation")
final class RefuseTheme implements Theme {
    private static final int INVALID_PARAMETER = 29;
    private static final int MESSAGE_ILLEGAL = 13;
    private static final int NO_PERMISSION = 16;

    @Override
    public void run(Context context) throws Exception {
        DefaultMQProducer producer = context.producer("producer");
        producer.setMaxMessageSize(64 * 1024 * 1024);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        producer.setRetryTimesWhenSendFailed(0);

        String topic = context.topic("plain", 2);
        MessageQueue first = producer.fetchPublishMessageQueues(topic).get(0);
        context.refused("body-too-large", MESSAGE_ILLEGAL, () -> producer.send(new Message(topic, new byte[5 * 1024 * 1024]), first));

        Message wide = new Message(topic, "wide".getBytes(StandardCharsets.UTF_8));
        wide.putUserProperty("wide", "x".repeat(40_000));
        context.refused("properties-too-large", MESSAGE_ILLEGAL, () -> producer.send(wide, first));

        MessageQueue beyond = new MessageQueue(topic, first.getBrokerName(), 9);
        context.refused("queue-id-beyond", INVALID_PARAMETER, () -> producer.send(message(topic), beyond));

        MessageQueue negative = new MessageQueue(topic, first.getBrokerName(), -1);
        SendResult anywhere = producer.send(message(topic), negative);
        context.check("queue-id-negative-is-any", anywhere.getMessageQueue().getQueueId() >= 0, anywhere);

        // A broker leaves a topic's write permission to the clients' routes, but refuses pulls of what may not be read.
        String writeOnly = context.name("write-only");
        Shim.createTopic(context.admin(), writeOnly, 1, 2);
        MessageQueue unreadable = new MessageQueue(writeOnly, first.getBrokerName(), 0);
        context.check("write-only-takes-sends", producer.send(message(writeOnly), unreadable).getQueueOffset() == 0, "");
        DefaultMQPullConsumer consumer = context.pullConsumer("group");
        context.refused("no-read-permission", NO_PERMISSION, () -> consumer.pull(unreadable, "*", 0, 1));
        context.refused("pull-queue-id-beyond", INVALID_PARAMETER, () -> consumer.pull(beyond, "*", 0, 1));

        MessageQueue again = new MessageQueue(topic, first.getBrokerName(), 1);
        context.check("still-serving", producer.send(message(topic), again).getQueueOffset() >= 0, "");
    }

    private static Message message(String topic) {
        return new Message(topic, "refuse".getBytes(StandardCharsets.UTF_8));
    }
}
