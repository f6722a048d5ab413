import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** The index: messages found by key, by unique key and by offset id. */
final class QueryTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 4);
        DefaultMQProducer producer = context.producer("producer");
        long begin = System.currentTimeMillis() - 1000;
        List<SendResult> results = new ArrayList<>();
        for (int i = 0; i < 30; i++) {
            String keys = "shared-" + i % 3 + " own-" + i;
            results.add(producer.send(new Message(topic, "tag", keys, ("query-" + i).getBytes(StandardCharsets.UTF_8))));
        }
        long end = System.currentTimeMillis() + 1000;
        List<String> third = new ArrayList<>();
        for (int i = 0; i < 30; i += 3) {
            third.add("query-" + i);
        }
        context.await(() -> query(context, topic, "shared-0", begin, end).size() == 10);
        context.same("by-shared-key", third, query(context, topic, "shared-0", begin, end));
        context.equal("by-own-key", "[query-17]", query(context, topic, "own-17", begin, end));
        context.equal("by-missing-key", "[]", query(context, topic, "nobody", begin, end));
        context.equal("by-key-out-of-time", "[]", query(context, topic, "own-17", begin - 7200_000, begin - 3600_000));
        context.equal("by-unique-key", "query-9", Context.body(context.admin().viewMessage(topic, results.get(9).getMsgId())));
        MessageExt byOffset = context.admin().viewMessage(topic, results.get(21).getOffsetMsgId());
        context.equal("by-offset-id", "query-21", Context.body(byOffset));
        context.equal("by-offset-id-queue-offset", results.get(21).getQueueOffset(), byOffset.getQueueOffset());
    }

    private static List<String> query(Context context, String topic, String key, long begin, long end) throws Exception {
        try {
            QueryResult result = context.admin().queryMessage(topic, key, 64, begin, end);
            return Context.bodies(result.getMessageList());
        } catch (MQClientException none) {
            return List.of();
        }
    }
}
