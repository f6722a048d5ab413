// Prints test/golden/config.json: what java.util.Properties reads, and every key of RocketMQ's configuration classes with its type
// and default: java -cp '<RocketMQ 5.3.3 lib>/*' Config.java
import java.io.*;
import java.lang.reflect.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.rocketmq.auth.config.AuthConfig;
import org.apache.rocketmq.common.*;
import org.apache.rocketmq.common.namesrv.NamesrvConfig;
import org.apache.rocketmq.remoting.netty.*;
import org.apache.rocketmq.store.config.MessageStoreConfig;

public class Config {
  static String q(String s) {
    if (s == null) return "null";
    StringBuilder b = new StringBuilder("\"");
    for (char c : s.toCharArray()) {
      if (c == '"' || c == '\\') b.append('\\').append(c);
      else if (c < 32 || c > 126) b.append(String.format("\\u%04x", (int) c));
      else b.append(c);
    }
    return b.append('"').toString();
  }

  static String read(String text) {
    Properties p = new Properties();
    try {
      p.load(new StringReader(text));
    } catch (Exception e) {
      return "null";
    }
    StringJoiner j = new StringJoiner(", ", "{", "}");
    for (String k : new TreeSet<>(p.stringPropertyNames())) j.add(q(k) + ": " + q(p.getProperty(k)));
    return j.toString();
  }

  /** Defaults that depend on the machine or its user. */
  static final Set<String> MACHINE = Set.of("brokerName", "brokerIP1", "brokerIP2", "rocketmqHome", "namesrvAddr", "kvConfigPath", "configStorePath");

  static String keys(Object o) throws Exception {
    TreeMap<String, String> rows = new TreeMap<>();
    for (Method m : o.getClass().getMethods()) {
      if (!m.getName().startsWith("set") || m.getParameterTypes().length != 1) continue;
      String n = m.getName().substring(3);
      String key = n.substring(0, 1).toLowerCase() + n.substring(1);
      Object value = null;
      boolean machine = MACHINE.contains(key) || key.startsWith("storePath") || (key.endsWith("ThreadPoolNums") && !key.startsWith("controller"));
      for (String prefix : new String[] {"get", "is"})
        try { value = o.getClass().getMethod(prefix + n).invoke(o); } catch (NoSuchMethodException e) { }
      rows.put(key, "[" + q(m.getParameterTypes()[0].getSimpleName()) + ", " + q(value == null || machine ? null : value.toString()) + "]");
    }
    StringJoiner j = new StringJoiner(",\n      ", "{\n      ", "\n    }");
    rows.forEach((k, v) -> j.add(q(k) + ": " + v));
    return j.toString();
  }

  public static void main(String[] a) throws Exception {
    String[] texts = {
      "", "a=1", "a = 1", "a: 1", "a 1", "a", "a=", "=1", " a=1", "\ta\t=\t1", "a=1 ", "a=1\t", "a==1", "a=:1", "a := 1", "a  =  =1",
      "# c\na=1", "! c\na=1", "  # c\na=1", "a=1 # no comment", "a#b=1", "#c\\\na=1", "a=b\\\nc", "a=b\\\n   c", "a=b\\\n\nd=1",
      "a=b\\\n#c\nd=1", "a\\\nb=1", "a=b\\\\\nc=1", "a=b\\\\\\\nc", "a=b\\", "a=\\t\\n\\r\\f\\b\\q\\\"", "a=\\u0041\\u4e2d", "a=\\u00zz",
      "a=\\u12", "a\\=b=1", "a\\:b=1", "a\\ b=1", "\\#a=1", "a=\\  b", "a=\\ ", "a=1\r\nb=2\r\n", "a=1\rb=2", "a=b\\\r\n  c", "\n\n\na=1\n\n",
      "a=1\na=2", "a=1\n\\\nb=2", "\\\n", "a=1\\\n", "   \\\n  b=2", "messageDelayLevel=1s 5s 10s \\\n  30s 1m", "p=C:\\\\data\\\\mq", "p=C:\\data",
      "k=\u00e9\u4e2d", "\u4e2d=1", "a\fb", "a=x\\uu0041", "{\"a\":1}"
    };
    StringBuilder out = new StringBuilder("{\n  \"provenance\": \"java.util.Properties and the configuration classes of Apache RocketMQ 5.3.3, recorded 2026-11-23\",\n  \"properties\": [\n");
    for (int i = 0; i < texts.length; i++)
      out.append("    [" + q(texts[i]) + ", " + read(texts[i]) + "]" + (i < texts.length - 1 ? ",\n" : "\n"));
    out.append("  ],\n  \"keys\": {\n");
    Object[] beans = {new BrokerConfig(), new MessageStoreConfig(), new NettyServerConfig(), new NettyClientConfig(), new NamesrvConfig(), new AuthConfig()};
    for (int i = 0; i < beans.length; i++)
      out.append("    " + q(beans[i].getClass().getSimpleName()) + ": " + keys(beans[i]) + (i < beans.length - 1 ? ",\n" : "\n"));
    System.out.write(out.append("  }\n}\n").toString().getBytes(StandardCharsets.UTF_8));
    System.out.flush();
  }
}
