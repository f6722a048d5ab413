// Prints test/golden/fastjson.json: java -cp '<RocketMQ 5.3.3 lib>/*' Fastjson.java
import com.alibaba.fastjson.*;
import com.alibaba.fastjson.serializer.*;
import org.apache.rocketmq.common.message.*;
import java.util.*;
public class Fastjson {
  static boolean first = true;
  static String q(String s) { if (s == null) return "null"; StringBuilder b = new StringBuilder("\""); for (char c : s.toCharArray()) { if (c == '"' || c == '\\') b.append('\\').append(c); else if (c < 32 || c > 126) b.append(String.format("\\u%04x", (int) c)); else b.append(c);} return b.append('"').toString(); }
  static void p(String kind, String name, String text) { System.out.print((first ? "" : ",\n") + "    {\"kind\": " + q(kind) + ", \"name\": " + q(name) + ", \"text\": " + q(text) + "}"); first = false; }
  static void w(String name, Object o) { p("compact", name, JSON.toJSONString(o)); p("pretty", name, JSON.toJSONString(o, SerializerFeature.PrettyFormat)); p("browser", name, JSON.toJSONString(o, SerializerFeature.BrowserCompatible)); }
  static void r(String text) { String res; try { Object o = JSON.parse(text); res = JSON.toJSONString(o, SerializerFeature.MapSortField, SerializerFeature.WriteMapNullValue); } catch (Throwable t) { res = null; } p("parse", text, res); }
  public static class B { public int z = 1; public String a = "x"; public Map<Integer,String> m = new TreeMap<>(); public List<String> l = new ArrayList<>(); public Set<String> s = new TreeSet<>(); public double d = 0; public Double n; public long big = Long.MAX_VALUE; public Map<String,Object> sm = new LinkedHashMap<>(); public B2 inner; public int[] ints; public String[] strs; public List<B2> beans = new ArrayList<>();}
  public static class B2 { public int q = 2; public boolean t = true; }
  public static void main(String[] a) {
    System.out.print("{\n  \"provenance\": \"com.alibaba:fastjson:1.2.83 toJSONString and parse, recorded 2026-11-23\",\n  \"vectors\": [\n");
    B b = new B(); w("bean with empty containers", b);
    b.m.put(0, "a"); b.m.put(1, "b"); b.l.add("x"); b.l.add("y"); b.s.add("s1"); b.s.add("s2"); b.sm.put("k2", 1); b.sm.put("k1", null); b.sm.put("k0", new TreeMap<>(b.m)); b.inner = new B2(); b.ints = new int[]{1,2}; b.strs = new String[]{"p","q"}; b.beans.add(new B2()); b.beans.add(new B2());
    w("bean with everything", b);
    Map<Object,Object> mq = new LinkedHashMap<>(); mq.put(new MessageQueue("T","broker-a",0), 5); mq.put(new MessageQueue("T","broker-a",1), 6L); w("object keys", mq);
    Map<String,Object> nested = new LinkedHashMap<>(); Map<Integer,Long> inner = new LinkedHashMap<>(); inner.put(0, 5L); inner.put(1, 7L); nested.put("T@cg", inner); Map<String,Object> offs = new LinkedHashMap<>(); offs.put("offsetTable", nested); w("offsets", offs);
    List<Object> doubles = new ArrayList<>(); for (double d : new double[]{0, -0.0, 1, 1.5, 100, 1e6, 1e7, 12345678.9, 1e20, 1e-3, 1e-4, 123.456, Double.NaN, Double.POSITIVE_INFINITY}) doubles.add(d); w("doubles", doubles);
    w("strings", Arrays.asList("", "a/b", "q\"q", "b\\b", "\b\t\n\f\r", "\u0000\u0001\u001f\u007f", "\u00e9\u4e2d\u2028\ud83d\ude80", "'"));
    w("list with null", Arrays.asList(1, null, "x"));
    w("nested lists", Arrays.asList(Arrays.asList(1,2), new ArrayList<>(), Arrays.asList(new TreeMap<>(Collections.singletonMap("k", "v")))));
    for (String s : new String[]{"", " ", "{}", "[]", "{a:1}", "{'a':'b'}", "{0:\"x\",1:\"y\"}", "{\"a\":1,}", "[1,2,]", "[1,,2]", "{,\"a\":1}", "/*c*/{\"a\":1}//x", "{\"a\":/*c*/1}", "{\"a\":1}x", "{\"a\":1} {}", "\ufeff{\"a\":1}", "{\"a\":9223372036854775807}", "{\"a\":9007199254740993}", "{\"a\":123456789012345678901234567890}", "{\"a\":1.5}", "{\"a\":6.0}", "{\"a\":1e3}", "{\"a\":-1}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":5L}", "{\"a\":NaN}", "{\"a\":undefined}", "{\"a\":TRUE}", "{\"a\":true}", "{\"a\":null}", "{\"a\":\"\\u0041\\x42\\'\\0\"}", "{\"a\":\"\\q\"}", "{\"a\":\"tab\there\"}", "{\"a\":{\"x\":1},\"b\":{\"$ref\":\"$.a\"}}", "{\"a\":[{\"x\":1}],\"b\":{\"$ref\":\"$.a[0]\"}}", "{\"a\":{\"$ref\":\"$.nowhere\"}}", "{\"a\":1,\"a\":2}", "{\"a\":\"open}", "{\"a\":1", "{\"a\"}", "{\"a\" : 1 ; }", "nul", "true", "5", "\"s\"", "'s'", "{null:1}", "{true:1}", "{-1:2}", "{\"\":1}", "{a-b:1}", "{a.b:1}", "{$a:1}", "{\"a\":new Date(1)}", "{{\"brokerName\":\"b\",\"queueId\":0}:5}", "{[1]:5}", "{\"t\":{{\"b\":1}:{\"x\":2},{\"b\":2}:{\"x\":3}}}" }) r(s);
    System.out.print("\n  ]\n}\n");
  }
}
