import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** A consumer that stops and starts again goes on where it was: nothing twice, nothing lost. */
final class ResumeTheme implements Theme {
    @Override
    public void run(Context context) throws Exception {
        String topic = context.topic("topic", 4);
        DefaultMQProducer producer = context.producer("producer");
        List<String> before = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer first = PushTheme.consumer(context, topic, before);
        context.send(producer, topic, "tag", "before", 80);
        context.awaitSame("before", Context.numbered("before", 80), before);
        // The listener has seen them all, but the last may not have answered yet: what it has not answered comes again.
        first.setAwaitTerminationMillisWhenShutdown(5000);
        first.shutdown();
        context.send(producer, topic, "tag", "meanwhile", 40);
        List<String> after = Collections.synchronizedList(new ArrayList<>());
        PushTheme.consumer(context, topic, after);
        context.awaitSame("meanwhile", Context.numbered("meanwhile", 40), after);
        after.clear();
        context.send(producer, topic, "tag", "after", 40);
        context.awaitSame("after", Context.numbered("after", 40), after);
        context.equal("nothing-twice", 80, before.size());
    }
}
