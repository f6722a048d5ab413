// Prints test/golden/register-broker.json: java -cp '<RocketMQ 5.3.3 lib>/*' RegisterBroker.java
import java.util.*;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.remoting.protocol.DataVersion;
import org.apache.rocketmq.remoting.protocol.body.*;
import org.apache.rocketmq.remoting.protocol.statictopic.TopicQueueMappingInfo;

public class RegisterBroker {
  static String hex(byte[] bytes) {
    StringBuilder b = new StringBuilder();
    for (byte x : bytes) b.append(String.format("%02x", x));
    return b.toString();
  }

  static RegisterBrokerBody body(boolean mapping) {
    TopicConfigAndMappingSerializeWrapper wrapper = new TopicConfigAndMappingSerializeWrapper();
    DataVersion version = new DataVersion();
    version.setTimestamp(1700000000000L);
    version.getCounter().set(7);
    version.setStateVersion(2);
    wrapper.setDataVersion(version);
    TopicConfig plain = new TopicConfig("plain", 4, 8, 6, 1);
    TopicConfig typed = new TopicConfig("typed", 1, 2, 4);
    typed.getAttributes().put("message.type", "FIFO");
    TopicConfig unicode = new TopicConfig("%RETRY%grüße", 1, 1, 6);
    unicode.setOrder(true);
    for (TopicConfig topic : Arrays.asList(plain, typed, unicode)) wrapper.getTopicConfigTable().put(topic.getTopicName(), topic);
    if (mapping) {
      TopicQueueMappingInfo info = new TopicQueueMappingInfo("static", 4, "broker-a", 9);
      info.getCurrIdMap().put(0, 0);
      wrapper.getTopicQueueMappingInfoMap().put("static", info);
    }
    RegisterBrokerBody body = new RegisterBrokerBody();
    body.setTopicConfigSerializeWrapper(wrapper);
    body.setFilterServerList(Arrays.asList("10.0.0.1:7000"));
    return body;
  }

  public static void main(String[] a) {
    System.out.println("{\n  \"provenance\": \"RegisterBrokerBody#encode of Apache RocketMQ 5.3.3, recorded 2026-11-23\",");
    System.out.println("  \"compressed\": \"" + hex(body(false).encode(true)) + "\",");
    System.out.println("  \"compressedWithMapping\": \"" + hex(body(true).encode(true)) + "\",");
    System.out.println("  \"plain\": \"" + hex(body(true).encode(false)) + "\",");
    System.out.println("  \"topicsOnly\": \"" + hex(body(false).getTopicConfigSerializeWrapper().encode()) + "\"\n}");
  }
}
