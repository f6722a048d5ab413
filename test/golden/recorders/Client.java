// Prints test/golden/client-5.3.3.json: what the classes of the Java client compute. Run with the jars of rocketmq-client 5.3.3 on the class path.
import java.util.*;
import com.alibaba.fastjson.*;
import com.alibaba.fastjson.serializer.SerializerFeature;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.rebalance.*;
import org.apache.rocketmq.client.latency.*;
import org.apache.rocketmq.client.producer.selector.*;
import org.apache.rocketmq.common.message.*;
import org.apache.rocketmq.client.consumer.store.*;
public class Client {
  static List<MessageQueue> queues(String[] brokers, int n) {
    List<MessageQueue> l = new ArrayList<>();
    for (String b : brokers) for (int i = 0; i < n; i++) l.add(new MessageQueue("Topic-T", b, i));
    Collections.sort(l);
    return l;
  }
  static List<String> keys(List<MessageQueue> l) { List<String> r = new ArrayList<>(); if (l != null) for (MessageQueue q : l) r.add(q.getBrokerName() + ":" + q.getQueueId()); return r; }
  static Map<String,Object> one(AllocateMessageQueueStrategy s, String name, List<MessageQueue> qs, List<String> cids) {
    Map<String,Object> m = new LinkedHashMap<>();
    m.put("strategy", name); m.put("clients", cids); m.put("queues", keys(qs));
    Map<String,Object> res = new LinkedHashMap<>();
    List<String> ask = new ArrayList<>(cids); ask.add("10.0.0.99@absent");
    for (String c : ask) {
      try { res.put(c, keys(s.allocate("g", c, qs, cids))); } catch (Exception e) { res.put(c, "throws " + e.getClass().getSimpleName()); }
    }
    m.put("result", res);
    return m;
  }
  public static void main(String[] a) throws Exception {
    Map<String,Object> root = new LinkedHashMap<>();
    root.put("from", "org.apache.rocketmq:rocketmq-client:5.3.3, its own classes, 2026-11-23");
    List<Object> allocations = new ArrayList<>();
    String[][] brokerSets = {{"broker-a"}, {"broker-a","broker-b"}, {"room1@a","room1@b","room2@c","plain"}};
    int[] nums = {1, 3, 4, 8};
    for (String[] bs : brokerSets) for (int n : nums) for (int c : new int[]{1,2,3,5,9}) {
      List<String> cids = new ArrayList<>();
      for (int i = 0; i < c; i++) cids.add((i % 2 == 0 ? "room1" : "room2") + "-10.0.0." + i + "@" + (100 + i) + "#7");
      Collections.sort(cids);
      List<MessageQueue> qs = queues(bs, n);
      allocations.add(one(new AllocateMessageQueueAveragely(), "AVG", qs, cids));
      allocations.add(one(new AllocateMessageQueueAveragelyByCircle(), "AVG_BY_CIRCLE", qs, cids));
      allocations.add(one(new AllocateMessageQueueConsistentHash(), "CONSISTENT_HASH", qs, cids));
      if (bs.length == 4) {
        AllocateMessageQueueByMachineRoom mr = new AllocateMessageQueueByMachineRoom();
        mr.setConsumeridcs(new HashSet<>(Arrays.asList("room1")));
        allocations.add(one(mr, "MACHINE_ROOM", qs, cids));
        AllocateMachineRoomNearby.MachineRoomResolver r = new AllocateMachineRoomNearby.MachineRoomResolver() {
          public String brokerDeployIn(MessageQueue q) { return q.getBrokerName().split("@")[0]; }
          public String consumerDeployIn(String id) { return id.split("-")[0]; }
        };
        allocations.add(one(new AllocateMachineRoomNearby(new AllocateMessageQueueAveragely(), r), "MACHINE_ROOM_NEARBY-AVG", qs, cids));
        allocations.add(one(new AllocateMachineRoomNearby(new AllocateMessageQueueConsistentHash(), r), "MACHINE_ROOM_NEARBY-CONSISTENT_HASH", qs, cids));
      }
    }
    root.put("allocations", allocations);
    // latency
    MQFaultStrategy f = new MQFaultStrategy(new org.apache.rocketmq.client.ClientConfig(), (Resolver) null, (ServiceDetector) null);
    java.lang.reflect.Method m = MQFaultStrategy.class.getDeclaredMethod("computeNotAvailableDuration", long.class);
    m.setAccessible(true);
    Map<String,Object> lat = new LinkedHashMap<>();
    for (long ms : new long[]{0,1,49,50,51,99,100,549,550,551,1799,1800,2999,3000,3001,4999,5000,10000,14999,15000,15001,60000}) lat.put(String.valueOf(ms), m.invoke(f, ms));
    root.put("notAvailableDuration", lat);
    // hash selector
    Map<String,Object> hash = new LinkedHashMap<>();
    List<MessageQueue> qs = queues(new String[]{"broker-a","broker-b"}, 7);
    for (String k : new String[]{"", "a", "order-1", "order-2", "polygenelubricants", "\u8ba2\u5355-42", "\ud83d\ude00", "GydZG_", "DESIGNING WORKHOUSES", "k17"}) {
      MessageQueue q = new SelectMessageQueueByHash().select(qs, null, k);
      hash.put(k, q.getBrokerName() + ":" + q.getQueueId());
    }
    root.put("selectByHash", hash);
    root.put("selectByHashQueues", keys(qs));
    // local offset file as Java writes it
    OffsetSerializeWrapper w = new OffsetSerializeWrapper();
    java.util.concurrent.ConcurrentHashMap<MessageQueue, java.util.concurrent.atomic.AtomicLong> t = new java.util.concurrent.ConcurrentHashMap<>();
    t.put(new MessageQueue("T", "broker-a", 0), new java.util.concurrent.atomic.AtomicLong(13));
    w.setOffsetTable(t);
    root.put("offsetsJsonOneQueue", w.toJson(true));
    t.put(new MessageQueue("T", "broker-a", 1), new java.util.concurrent.atomic.AtomicLong(9007199254740991L));
    t.put(new MessageQueue("T", "broker-b", 3), new java.util.concurrent.atomic.AtomicLong(0));
    root.put("offsetsJson", w.toJson(true));
    System.out.println(JSON.toJSONString(root, SerializerFeature.DisableCircularReferenceDetect));
  }
}
