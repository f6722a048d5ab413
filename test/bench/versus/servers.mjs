import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { referenceJars } from "../../conformance/support/cache.mjs";
import { mq, registered } from "../../conformance/support/cluster.mjs";
import { accepts, brokerPort } from "../../conformance/support/ports.mjs";
import { Child } from "../../conformance/support/process.mjs";
import { RawConnection } from "../../conformance/support/remoting.mjs";

export const KINDS = ["java", "mq"];
export const NAMES = { java: "Java 5.3.3", mq: "mq" };

/** RocketMQ's runbroker.sh for a machine of this size: its collector and settings, a heap of 1 to 2 GiB; not AlwaysPreTouch, which would count all of the heap as used. */
export const JAVA_FLAGS = [
  "-server",
  "-Xms1g",
  "-Xmx2g",
  "-XX:+UseG1GC",
  "-XX:G1HeapRegionSize=16m",
  "-XX:G1ReservePercent=25",
  "-XX:InitiatingHeapOccupancyPercent=30",
  "-XX:SoftRefLRUPolicyMSPerMB=0",
  "-XX:-OmitStackTraceInFastThrow",
  "-XX:MaxDirectMemorySize=2g",
  "-XX:-UseLargePages",
];

/** The same for both brokers; every other key keeps its default in both, file sizes among them. */
const SETTINGS = {
  brokerClusterName: "DefaultCluster",
  brokerName: "broker-a",
  brokerId: "0",
  brokerIP1: "127.0.0.1",
  brokerIP2: "127.0.0.1",
};

function properties(file, entries) {
  const lines = Object.entries(entries).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(file, lines.join(""));
  return file;
}

async function javaProcess(name, main, dir, file, flags) {
  mkdirSync(join(dir, "conf"), { recursive: true });
  const home = [`-Duser.home=${dir}`, `-Drocketmq.home.dir=${dir}`];
  const args = [...flags, ...home, "-cp", await referenceJars(), main, "-c", file];
  return new Child(name, "java", args, { cwd: dir, env: { ROCKETMQ_HOME: dir }, log: join(dir, `${name}.log`) });
}

async function startNamesrv(kind, dir) {
  const port = await brokerPort();
  mkdirSync(dir, { recursive: true });
  const file = properties(join(dir, "namesrv.properties"), { listenPort: port, bindAddress: "127.0.0.1" });
  const child =
    kind === "java"
      ? await javaProcess("namesrv", "org.apache.rocketmq.namesrv.NamesrvStartup", dir, file, ["-Xms128m", "-Xmx256m"])
      : new Child("namesrv", mq, ["namesrv", "-c", file], { cwd: dir, log: join(dir, "namesrv.log") });
  if (kind === "java") await child.waitFor(/boot success/);
  await accepts(port);
  child.address = `127.0.0.1:${port}`;
  return child;
}

/** The process of a broker, started but not waited for; `port` and `haPort` are known at once. */
export async function spawnBroker(kind, dir, overrides = {}) {
  mkdirSync(dir, { recursive: true });
  const port = overrides.listenPort ?? (await brokerPort());
  const settings = {
    ...SETTINGS,
    listenPort: port,
    haListenPort: port + 1,
    storePathRootDir: join(dir, "store"),
    ...overrides,
  };
  const file = properties(join(dir, "broker.properties"), settings);
  const child =
    kind === "java"
      ? await javaProcess("broker", "org.apache.rocketmq.broker.BrokerStartup", dir, file, JAVA_FLAGS)
      : new Child("broker", mq, ["broker", "-c", file], { cwd: dir, log: join(dir, "broker.log") });
  child.port = port;
  child.haPort = port + 1;
  child.address = `127.0.0.1:${port}`;
  return child;
}

/**
 * One name server and one master of a kind, and a slave where `slave` is set, with a master of `role`; registered when this resolves.
 * `stop()` ends all of them and removes their stores.
 */
export async function startCluster(kind, base, { settings = {}, slave = false, role = "SYNC_MASTER" } = {}) {
  const dir = join(base, kind);
  const namesrv = await startNamesrv(kind, join(dir, "namesrv"));
  const children = [namesrv];
  const start = async (name, overrides) => {
    const broker = await spawnBroker(kind, join(dir, name), {
      namesrvAddr: namesrv.address,
      ...settings,
      ...overrides,
    });
    children.push(broker);
    if (kind === "java") await broker.waitFor(/boot success/);
    await accepts(broker.port);
    return broker;
  };
  const broker = await start("broker", slave ? { brokerRole: role } : {});
  await registered(broker, namesrv.address);
  const replica = slave ? await start("slave", { brokerId: "1", brokerRole: "SLAVE" }) : undefined;
  if (replica) {
    await registered(replica, namesrv.address);
    // The slave has found its master once a send is confirmed by both; one that nobody waits for is looked for otherwise.
    await firstSend(broker.port, "first");
  }
  return {
    kind,
    dir,
    namesrv: namesrv.address,
    broker,
    slave: replica,
    async stop() {
      for (const child of children.reverse()) await child.stop("SIGTERM", 20_000);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Anonymous and resident memory of a process in bytes. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
  return { anonymous: field("RssAnon"), resident: field("VmRSS") };
}

/** The short header of SEND_MESSAGE_V2 [SendMessageRequestHeaderV2]. */
export function sendFields(topic, queueId = 0) {
  return {
    a: "bench",
    b: topic,
    c: "TBW102",
    d: "4",
    e: String(queueId),
    f: "0",
    g: String(Date.now()),
    h: "0",
    i: "",
    j: "0",
    k: "false",
    l: "0",
    m: "false",
  };
}

const SEND_MESSAGE_V2 = 310;

/** Tries to connect and send, once a millisecond, until the broker accepts a message. */
export async function firstSend(port, topic) {
  let connection;
  for (;;) {
    try {
      connection ??= await RawConnection.to(port);
      const { code } = await connection.request(SEND_MESSAGE_V2, sendFields(topic), Buffer.from("first"));
      if (code === 0) return connection.close();
    } catch {
      connection?.close();
      connection = undefined;
    }
    await sleep(1);
  }
}
