import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { referenceJars, root } from "./cache.mjs";
import { accepts, brokerPort } from "./ports.mjs";
import { Child, run } from "./process.mjs";

/** The executable under test; MQ_EXECUTABLE names another one. */
export const mq = process.env.MQ_EXECUTABLE ?? join(root, "dist", "mq");

/** Waits made short, and files small, so that a suite ends in minutes; every other key keeps its default. */
export const quick = {
  brokerClusterName: "DefaultCluster",
  brokerName: "broker-a",
  brokerId: "0",
  brokerIP1: "127.0.0.1",
  messageDelayLevel: "1s 2s 3s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s",
  waitTimeMillsInSendQueue: "5000",
  transactionTimeOut: "2000",
  transactionCheckInterval: "1500",
  // A half message that nobody answers for is thrown away after so many questions.
  transactionCheckMax: "1000",
  transactionOpBatchInterval: "100",
  mappedFileSizeCommitLog: String(64 * 1024 * 1024),
  mappedFileSizeConsumeQueue: String(20 * 50_000),
  maxHashSlotNum: "100000",
  maxIndexNum: "400000",
};

/** The JVM flags of every Java process here: small, and with a home of its own for logs and offsets. */
export function java(home, maxHeap, ...flags) {
  mkdirSync(join(home, "conf"), { recursive: true });
  return [
    "-Xms32m",
    `-Xmx${maxHeap}`,
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:MaxDirectMemorySize=512m",
    `-Duser.home=${home}`,
    `-Drocketmq.home.dir=${home}`,
    `-Drocketmq.client.localOffsetStoreDir=${join(home, "offsets")}`,
    ...flags,
  ];
}

function properties(file, entries) {
  writeFileSync(
    file,
    Object.entries(entries)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(""),
  );
  return file;
}

/** Starts a name server of either kind ("java" or "mq") and returns it with its `address`. */
export async function startNamesrv(kind, dir, port) {
  port ??= await brokerPort();
  mkdirSync(dir, { recursive: true });
  const file = properties(join(dir, "namesrv.properties"), {
    listenPort: port,
    bindAddress: "127.0.0.1",
    kvConfigPath: join(dir, "kvConfig.json"),
    orderMessageEnable: "true",
    configStorePath: join(dir, "namesrv-store.properties"),
  });
  const log = join(dir, "namesrv.log");
  const server =
    kind === "java"
      ? new Child(
          "java namesrv",
          "java",
          [
            ...java(dir, "128m"),
            "-cp",
            await referenceJars(),
            "org.apache.rocketmq.namesrv.NamesrvStartup",
            "-c",
            file,
          ],
          { cwd: dir, env: { ROCKETMQ_HOME: dir }, log },
        )
      : new Child("mq namesrv", mq, ["namesrv", "-c", file], { cwd: dir, log });
  if (kind === "java") await server.waitFor(/boot success/);
  await accepts(port);
  server.port = port;
  server.address = `127.0.0.1:${port}`;
  return server;
}

/**
 * Starts a broker of either kind on `dir`/store and waits until it serves and, if it has name servers, is registered.
 * `dir` may be used again, by the other kind as well; `overrides` are RocketMQ's properties.
 */
export async function startBroker(kind, dir, namesrv, overrides = {}) {
  const port = overrides.listenPort ?? (await brokerPort());
  mkdirSync(dir, { recursive: true });
  const file = properties(join(dir, `broker-${kind}.properties`), {
    ...quick,
    listenPort: port,
    storePathRootDir: join(dir, "store"),
    ...(namesrv ? { namesrvAddr: namesrv } : {}),
    ...overrides,
  });
  const log = join(dir, `broker-${kind}.log`);
  const server =
    kind === "java"
      ? new Child(
          "java broker",
          "java",
          [...java(dir, "512m"), "-cp", await referenceJars(), "org.apache.rocketmq.broker.BrokerStartup", "-c", file],
          { cwd: dir, env: { ROCKETMQ_HOME: dir }, log },
        )
      : new Child("mq broker", mq, ["broker", "-c", file], { cwd: dir, log });
  server.port = port;
  server.address = `127.0.0.1:${port}`;
  server.dir = dir;
  if (kind === "java") await server.waitFor(/boot success/);
  const open = accepts(Number(port));
  const ended = server.ended.then(() => server.waitFor(/never printed/, 1));
  await Promise.race([open, ended]);
  ended.catch(() => {});
  if (namesrv) await registered(server, namesrv);
  return server;
}

/** Waits until every name server knows the broker; asked by the plainest client there is. */
export async function registered(server, namesrv) {
  const { clusterInfo } = await import("./remoting.mjs");
  const end = Date.now() + 60_000;
  for (const address of namesrv.split(";")) {
    for (;;) {
      const info = await clusterInfo(address).catch((error) => String(error));
      if (info.includes(server.address)) break;
      if (Date.now() > end) throw new Error(`register ${server.address} with ${address}: it knows only ${info}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Runs the reference's admin tool. */
export async function mqadmin(dir, args) {
  return run(
    "java",
    [...java(dir, "128m"), "-cp", await referenceJars(), "org.apache.rocketmq.tools.command.MQAdminStartup", ...args],
    {
      cwd: dir,
      env: { ROCKETMQ_HOME: dir },
      timeoutMs: 60_000,
      allowFailure: true,
    },
  );
}
