// Prints test/golden/commands.json: java -cp '<RocketMQ 5.3.3 lib>/*' Commands.java
import org.apache.rocketmq.remoting.protocol.*;
import org.apache.rocketmq.remoting.protocol.header.*;
import org.apache.rocketmq.remoting.protocol.route.*;
import java.util.*;
import java.nio.*;
import java.lang.reflect.*;

public class Commands {
  static StringBuilder out = new StringBuilder("{\n  \"provenance\": \"RemotingCommand#encode of org.apache.rocketmq:rocketmq-remoting:5.3.3, recorded 2026-11-23 on the JDK named in java\",\n  \"java\": \"" + System.getProperty("java.version") + "\",\n  \"frames\": [\n");
  static boolean first = true;
  static String hex(byte[] b) { StringBuilder s = new StringBuilder(); for (byte x : b) s.append(String.format("%02x", x)); return s.toString(); }
  static String q(String s) { if (s == null) return "null"; StringBuilder b = new StringBuilder("\""); for (char c : s.toCharArray()) { if (c == '"' || c == '\\') b.append('\\').append(c); else if (c < 32 || c > 126) b.append(String.format("\\u%04x", (int) c)); else b.append(c);} return b.append('"').toString(); }
  static void emit(String name, RemotingCommand c, SerializeType t, int opaque) throws Exception {
    c.setSerializeTypeCurrentRPC(t);
    c.setOpaque(opaque);
    byte[] body = c.getBody();
    ByteBuffer e = c.encode();
    byte[] bytes = new byte[e.remaining()]; e.get(bytes);
    RemotingCommand d = RemotingCommand.decode(ByteBuffer.wrap(bytes, 4, bytes.length - 4));
    StringBuilder ext = new StringBuilder("{");
    boolean f = true;
    if (d.getExtFields() != null) for (Map.Entry<String, String> x : new TreeMap<>(d.getExtFields()).entrySet()) { if (!f) ext.append(", "); f = false; ext.append(q(x.getKey())).append(": ").append(q(x.getValue())); }
    ext.append("}");
    if (!first) out.append(",\n"); first = false;
    out.append("    {\"name\": ").append(q(name)).append(", \"serializeType\": ").append(t.getCode()).append(", \"code\": ").append(d.getCode()).append(", \"language\": ").append(q(d.getLanguage().name())).append(", \"version\": ").append(d.getVersion()).append(", \"opaque\": ").append(d.getOpaque()).append(", \"flag\": ").append(d.getFlag()).append(", \"remark\": ").append(q(d.getRemark())).append(", \"ext\": ").append(ext).append(", \"body\": ").append(d.getBody() == null ? "null" : q(hex(d.getBody()))).append(",\n     \"hex\": ").append(q(hex(bytes))).append("}");
  }
  interface Maker { RemotingCommand make(); }
  static void both(String name, int opaque, Maker m) throws Exception { for (SerializeType t : SerializeType.values()) emit(name, m.make(), t, opaque); }
  static RemotingCommand version(RemotingCommand c) { c.setVersion(479); return c; }
  public static void main(String[] a) throws Exception {
    both("bare", 0, () -> version(RemotingCommand.createRequestCommand(105, null)));
    both("one ext field and a body", 7, () -> { RemotingCommand c = version(RemotingCommand.createRequestCommand(105, null)); c.addExtField("topic", "T"); c.setBody("hi".getBytes()); return c; });
    both("response with remark", 2147483647, () -> version(RemotingCommand.createResponseCommand(17, "No topic route info in name server for the topic: \u4e3b\u9898")));
    both("oneway", -2147483648, () -> { RemotingCommand c = version(RemotingCommand.createRequestCommand(37, null)); c.markOnewayRPC(); return c; });
    both("negative code, other language", -1, () -> { RemotingCommand c = version(RemotingCommand.createRequestCommand(-7, null)); c.setLanguage(LanguageCode.GO); return c; });
    both("text of every kind", 1, () -> { RemotingCommand c = version(RemotingCommand.createRequestCommand(10, null)); c.addExtField("properties", "KEYS\u0001k \"1\" \\ / \u0002TAGS\u0001\u4e2d\u6587\u0002e\u0001\ud83d\ude80\u007f\t\n\u0000\u2028"); return c; });
    both("send message v2", 42, () -> {
      SendMessageRequestHeader h = new SendMessageRequestHeader();
      h.setProducerGroup("pg"); h.setTopic("TopicTest"); h.setDefaultTopic("TBW102"); h.setDefaultTopicQueueNums(4); h.setQueueId(3); h.setSysFlag(0); h.setBornTimestamp(1700000000123L); h.setFlag(0);
      h.setProperties("KEYS\u0001k1\u0002UNIQ_KEY\u00017F00000100002A139A5510F0E7A10000\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002"); h.setReconsumeTimes(0); h.setUnitMode(false); h.setBatch(false); h.setBrokerName("broker-a");
      RemotingCommand c = version(RemotingCommand.createRequestCommand(310, SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(h))); c.setBody("Hello RocketMQ".getBytes()); return c; });
    both("pull message", 43, () -> {
      PullMessageRequestHeader h = new PullMessageRequestHeader();
      h.setConsumerGroup("cg"); h.setTopic("TopicTest"); h.setQueueId(1); h.setQueueOffset(9223372036854775807L); h.setMaxMsgNums(32); h.setSysFlag(2); h.setCommitOffset(-1L); h.setSuspendTimeoutMillis(15000L); h.setSubscription("TagA || TagB"); h.setSubVersion(1700000000000L); h.setExpressionType("TAG");
      return version(RemotingCommand.createRequestCommand(11, h)); });
    both("send response", 44, () -> {
      RemotingCommand c = version(RemotingCommand.createResponseCommand(SendMessageResponseHeader.class));
      SendMessageResponseHeader h = (SendMessageResponseHeader) c.readCustomHeader(); h.setMsgId("7F00000100002A9F0000000000000000"); h.setQueueId(3); h.setQueueOffset(0L); c.setCode(0); c.setRemark(null); c.setVersion(479); return c; });
    both("pull response", 45, () -> {
      RemotingCommand c = RemotingCommand.createResponseCommand(PullMessageResponseHeader.class);
      PullMessageResponseHeader h = (PullMessageResponseHeader) c.readCustomHeader(); h.setSuggestWhichBrokerId(0L); h.setNextBeginOffset(10L); h.setMinOffset(0L); h.setMaxOffset(10L); h.setTopicSysFlag(0); h.setGroupSysFlag(0); c.setCode(0); c.setRemark("FOUND"); c.setVersion(479); c.setBody(new byte[]{1,2,3}); return c; });
    emit("pop message, JSON only", version(RemotingCommand.createRequestCommand(200050, null)), SerializeType.JSON, 46);
    out.append("\n  ]\n}\n");
    System.out.print(out);
  }
}
