import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../lib/base/errors.ts";
import { brokerConfigKeys, loadBrokerConfig } from "../../lib/config/broker-config.ts";
import { DEAD_KEYS } from "../../lib/config/dead-keys.ts";
import { loadNamesrvConfig } from "../../lib/config/namesrv-config.ts";
import { configToProperties } from "../../lib/config/print-config.ts";
import { parseProperties } from "../../lib/config/properties.ts";

/** The mistakes of a text, line by line. */
function mistakes(text: string): string[] {
  try {
    loadBrokerConfig({ text });
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).exitCode).toBe(78);
    return (error as ConfigError).message.split("\n");
  }
  return [];
}

test("keys that do not go together stop the start", () => {
  expect(mistakes("brokerName=a\nbrokerRole=SLAVE")).toEqual([
    "text:2: brokerRole=SLAVE: want a brokerId above 0, found 0",
  ]);
  expect(mistakes("brokerRole=SLAVE\nbrokerId=1")).toEqual([]);
  expect(mistakes("listenPort=10911\nhaListenPort=10911")).toEqual([
    "text:2: haListenPort=10911: listenPort is the same, want another one",
  ]);
  expect(mistakes("listenPort=10911\nhaListenPort=10909")).toEqual([
    "text:2: haListenPort=10909: the fast port of listenPort=10911 is the same, want another one",
  ]);
  expect(mistakes("brokerRole=SLAVE\nbrokerId=1\nhaMasterAddress=nonsense")).toEqual([
    "text:3: haMasterAddress=nonsense: want host:port of the master's HA service",
  ]);
  expect(mistakes("haSendHeartbeatInterval=5000\nhaHousekeepingInterval=5000")).toEqual([
    "text:2: haHousekeepingInterval=5000: want more than haSendHeartbeatInterval=5000: connections would be closed between two heartbeats",
  ]);
  expect(mistakes("haMasterAddress=h1:10912\nhaHousekeepingInterval=5001")).toEqual([]);
});

describe("a good file", () => {
  test("values in Java's forms", () => {
    const { config, notices } = loadBrokerConfig({
      text: "autoCreateTopicEnable=FALSE\nlistenPort: 20911\nflushDiskType  SYNC_FLUSH\nbrokerName=  b \nmessageDelayLevel=1s 5s \\\n  10s\nfileReservedTime=+48\n",
    });
    expect(config).toMatchObject({
      autoCreateTopicEnable: false,
      listenPort: 20911,
      flushDiskType: "SYNC_FLUSH",
      brokerName: "b",
      messageDelayLevel: "1s 5s 10s",
      fileReservedTime: 48,
      haListenPort: 20912,
    });
    expect(notices).toEqual([]);
  });

  test("the file's path is remembered and its lines are named", () => {
    const folder = mkdtempSync(join(tmpdir(), "mq config é "));
    try {
      const file = join(folder, "broker-a.properties");
      writeFileSync(file, "\n# x\nbrokerRole=MASTER\n");
      expect(() => loadBrokerConfig({ file })).toThrow(`${file}:3: brokerRole=MASTER: want one of ASYNC_MASTER`);
      writeFileSync(file, "brokerName=x\n");
      expect(loadBrokerConfig({ file }).config.brokerConfigPath).toBe(file);
      expect(loadNamesrvConfig({ text: "listenPort=9877" }).config.listenPort).toBe(9877);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a file that is not there", () => {
    expect(() => loadBrokerConfig({ file: "/no/such/file" })).toThrow("read configuration /no/such/file: ENOENT");
  });

  test("flags win over the file and take sizes with units", () => {
    const { config, given } = loadBrokerConfig({
      text: "maxMessageSize=100\nbrokerName=a",
      overrides: [
        ["maxMessageSize", "4m"],
        ["mappedFileSizeCommitLog", "1G"],
        ["brokerName", "4m"],
      ],
    });
    expect(config).toMatchObject({ maxMessageSize: 4 << 20, mappedFileSizeCommitLog: 1 << 30, brokerName: "4m" });
    expect(given.get("brokerName")).toEqual({ text: "4m", where: "--set" });
    expect(mistakes("maxMessageSize=4m")).toEqual([
      "text:1: maxMessageSize=4m: want a whole number from 1 to 1073741824",
    ]);
  });

  test("both spellings of warmMapedFileEnable", () => {
    for (const name of ["warmMapedFileEnable", "warmMappedFileEnable"])
      expect(loadBrokerConfig({ text: `${name}=true` }).config.warmMapedFileEnable).toBe(true);
  });

  test("a repeated key: the last one counts, and that is said", () => {
    const { config, notices } = loadBrokerConfig({ text: "brokerName=a\nbrokerName=b\n" });
    expect(config.brokerName).toBe("b");
    expect(notices).toEqual(["text:2: brokerName=b replaces a from text:1"]);
  });

  test("a master has id 0", () => {
    const { config, notices } = loadBrokerConfig({ text: "brokerId=2\nbrokerRole=ASYNC_MASTER" });
    expect(config.brokerId).toBe(0);
    expect(notices).toEqual(["brokerId=2 becomes 0: brokerRole=ASYNC_MASTER is a master"]);
  });
});

describe("mistakes", () => {
  test("all of a file are told at once, each with place, value, what is allowed and the nearest name", () => {
    const text =
      "brokerRole=SYSC_MASTER\nbrokerIp1=1.2.3.4\nautoCreateTopicEnable=ture\nlistenPort=99999\nflushDiskType=sync_flush\nfileReservedTime=two\nautoCreateTopicEnabled=true\nxyzzy=1\n";
    expect(mistakes(text)).toEqual([
      "text:1: brokerRole=SYSC_MASTER: want one of ASYNC_MASTER, SYNC_MASTER, SLAVE; did you mean SYNC_MASTER?",
      "text:2: brokerIp1=1.2.3.4: unknown key; did you mean brokerIP1?",
      "text:3: autoCreateTopicEnable=ture: want true or false; did you mean true?",
      "text:4: listenPort=99999: want a whole number from 0 to 65535",
      "text:5: flushDiskType=sync_flush: want one of ASYNC_FLUSH, SYNC_FLUSH; did you mean SYNC_FLUSH?",
      "text:6: fileReservedTime=two: want a whole number from 0 to 2147483647",
      "text:7: autoCreateTopicEnabled=true: unknown key; did you mean autoCreateTopicEnable?",
      "text:8: xyzzy=1: unknown key",
    ]);
  });

  test("names of Object are no keys", () => {
    for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty"])
      expect(mistakes(`${name}=1`)).toEqual([`text:1: ${name}=1: unknown key`]);
  });

  test("a malformed escape", () => {
    expect(mistakes("a=1\nb=\\u12")).toEqual(["text:2: malformed \\u escape, want four hexadecimal digits behind it"]);
  });

  test("lenient: unknown keys are notices and are kept, bad values stay mistakes", () => {
    const { notices, unknown } = loadBrokerConfig({ text: "brokerIp1=1.2.3.4\n", lenient: true });
    expect(notices).toEqual(["text:1: brokerIp1=1.2.3.4: unknown key; did you mean brokerIP1?"]);
    expect([...unknown]).toEqual([["brokerIp1", "1.2.3.4"]]);
    expect(() => loadBrokerConfig({ text: "brokerRole=x", lenient: true })).toThrow("want one of");
  });

  test("a wrong case is a mistake for a file, the right one is named", () => {
    expect(mistakes("BrokerName=a")).toEqual(["text:1: BrokerName=a: unknown key; did you mean brokerName?"]);
  });
});

describe("keys without effect", () => {
  test("those of the JVM's world share one notice", () => {
    const { notices } = loadBrokerConfig({
      text: "sendMessageThreadPoolNums=16\nserverSelectorThreads=4\nclientWorkerThreads=4\nuseReentrantLockWhenPutMessage=true\nbrokerName=a\n",
    });
    expect(notices).toEqual([
      "of use to the JVM only, ignored: sendMessageThreadPoolNums, serverSelectorThreads, clientWorkerThreads, useReentrantLockWhenPutMessage",
    ]);
    expect(mistakes("sendMessageThreadPoolNums=many")).toHaveLength(1);
  });

  test("those of what is not there yet share one, unless they ask for the default", () => {
    const text = "popCkStayBufferTime=1\nenableCompaction=true\nfilterSupportRetry=true\n";
    expect(loadBrokerConfig({ text }).notices).toEqual([
      "without effect in this version: popCkStayBufferTime, filterSupportRetry",
    ]);
  });

  test("those that RocketMQ ignores too are named with what to write instead, and change nothing", () => {
    for (const [name, instead] of Object.entries(DEAD_KEYS)) {
      const { notices, config } = loadBrokerConfig({ text: `${name}=/somewhere/else` });
      expect(notices).toEqual([`text:1: ${name} is ignored, as RocketMQ does: ${instead}`]);
      expect(Object.values(config)).not.toContain("/somewhere/else");
    }
  });
});

describe("what this version does not have stops the start", () => {
  const refused = [
    "aclEnable=true",
    "authenticationEnabled=true",
    "authorizationEnabled=TRUE",
    "migrateAuthFromV1Enabled=true",
    "authorizationWhitelist=105",
    "useTLS=true",
    "enablePropertyFilter=true",
    "enableDLegerCommitLog=true",
    "enableControllerMode=true",
    "storeType=defaultRocksDB",
    "configManagerVersion=v2",
    "duplicationEnable=true",
    "readOnlyCommitLogStorePaths=/x",
    "messageStorePlugIn=org.x.Y",
    "enableLmq=true",
    "enableMultiDispatch=true",
  ];
  for (const line of refused)
    test(line, () => {
      const found = mistakes(`# x\n${line}\n`);
      expect(found).toHaveLength(1);
      expect(found[0]).toStartWith(`text:2: ${line}: this version`.slice(0, line.length + 9));
      expect(() => loadBrokerConfig({ text: line, lenient: true })).toThrow(ConfigError);
    });

  test("TLS keys, known to nobody's classes", () => {
    expect(mistakes("tls.server.mode=enforcing")).toEqual([
      "text:1: tls.server.mode: this version has no TLS: remove the key",
    ]);
    expect(() => loadBrokerConfig({ text: "tls.enable=true", lenient: true })).toThrow("no TLS");
  });

  test("secrets are not repeated", () => {
    const found = mistakes('initAuthenticationUser={"username":"rocketmq","password":"hunter2"}');
    expect(found.join()).not.toContain("hunter2");
    expect(found).toHaveLength(1);
  });

  test("switched off they are welcome", () => {
    const text =
      "aclEnable=false\nauthenticationEnabled=false\nenablePropertyFilter=false\nstoreType=default\nbrokerRole=ASYNC_MASTER\nenableDLegerCommitLog=false\n";
    expect(mistakes(text)).toEqual([]);
  });

  test("in a name server's file as well", () => {
    expect(() => loadNamesrvConfig({ text: "enableControllerInNamesrv=true" })).toThrow("no controller");
    expect(() => loadNamesrvConfig({ text: "useTLS=true" })).toThrow("no TLS");
  });
});

describe("texts with a form", () => {
  const bad = [
    "deleteWhen=25",
    "deleteWhen=4am",
    "messageDelayLevel=1s 5x",
    "namesrvAddr=foo",
    "namesrvAddr=a:9876;b",
    "brokerName=",
    "brokerClusterName=",
    "storePathRootDir=",
  ];
  for (const line of bad)
    test(`${line} is a mistake that says what is wanted`, () => {
      const found = mistakes(line);
      expect(found).toHaveLength(1);
      expect(found[0]).toStartWith(`text:1: ${line}: want `);
    });

  test("the usual forms are taken", () => {
    const text =
      "deleteWhen=04;16\nnamesrvAddr=a:9876;b:9876, [::1]:9876 ;\nmessageDelayLevel=1s 2m\nbrokerName=b\nstorePathRootDir=/d";
    expect(mistakes(text)).toEqual([]);
    expect(mistakes("namesrvAddr=")).toEqual([]);
    expect(mistakes("deleteWhen=4")).toEqual([]);
  });
});

describe("printing", () => {
  test("what is printed is read back to the same configuration", () => {
    const { config } = loadBrokerConfig({ text: "brokerName=x\nfileReservedTime=9\nwarmMapedFileEnable=true\n" });
    const text = configToProperties(brokerConfigKeys, config);
    expect(loadBrokerConfig({ text }).config).toEqual(config);
    const names = parseProperties(text).map(({ key }) => key);
    expect(names).toEqual([...names].sort());
    expect(names).not.toContain("brokerIP1");
  });

  test("important keys only, and keys that nobody knows", () => {
    const { config } = loadBrokerConfig();
    const important = configToProperties(brokerConfigKeys, config, { importantOnly: true });
    expect(important).toContain("flushDiskType=ASYNC_FLUSH\n");
    expect(important).not.toContain("haSendHeartbeatInterval");
    expect(configToProperties({}, {}, { extra: new Map([["foo", "1"]]) })).toBe("foo=1\n");
  });
});

describe("what a SYNC_MASTER waits for", () => {
  const load = (text: string) => loadBrokerConfig({ text });

  test("the master and one slave, unless the file says otherwise in so many words", () => {
    expect(load("brokerRole=SYNC_MASTER").config.inSyncReplicas).toBe(2);
    expect(load("brokerRole=SYNC_MASTER\ninSyncReplicas=1").config.inSyncReplicas).toBe(1);
    expect(load("brokerRole=SYNC_MASTER\ninSyncReplicas=3").config.inSyncReplicas).toBe(3);
    expect(load("").config.inSyncReplicas).toBe(1);
  });

  test("an ASYNC_MASTER that is told to wait is told that it does not", () => {
    expect(load("inSyncReplicas=2").notices.join()).toContain("inSyncReplicas=2 has no effect");
  });
});

test("an advertised host with blanks is refused, an empty one is none", () => {
  expect(() => loadBrokerConfig({ text: "brokerIP1=10.0.0.1 10.0.0.2\n" })).toThrow(
    "brokerIP1=10.0.0.1 10.0.0.2: want one host name or address without blanks",
  );
  expect(loadBrokerConfig({ text: "brokerIP1=\nbrokerIP2=b.example\n" }).config).toMatchObject({
    brokerIP1: "",
    brokerIP2: "b.example",
  });
});
