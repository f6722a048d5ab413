// The rows that no load generator makes: start, idle memory, the command line, idle connections.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { referenceJars } from "../../conformance/support/cache.mjs";
import { mq } from "../../conformance/support/cluster.mjs";
import { run } from "../../conformance/support/process.mjs";
import { createTopic, RawConnection } from "../../conformance/support/remoting.mjs";
import { firstSend, KINDS, memoryOf, spawnBroker, startCluster } from "./servers.mjs";

const HEART_BEAT = 34;
/** How long a started broker is left alone before its memory is read: its first timers have run by then. */
const SETTLE_MS = 15_000;

/** Process start to first accepted send, ms, on an empty store. One process at a time. */
export async function startUp({ base, rounds }) {
  const turns = [];
  for (let round = 0; round < rounds; round++) {
    const turn = {};
    for (const kind of KINDS) {
      const dir = join(base, `${kind}-${round}`);
      const began = performance.now();
      const broker = await spawnBroker(kind, dir);
      await firstSend(broker.port, "first");
      turn[kind] = { ms: performance.now() - began };
      await broker.stop("SIGTERM", 20_000);
      rmSync(dir, { recursive: true, force: true });
    }
    turns.push(turn);
  }
  return turns;
}

/** Anonymous memory of a broker that has served nobody, bytes. */
export async function idleMemory({ base }) {
  const clusters = [];
  for (const kind of KINDS) clusters.push(await startCluster(kind, base));
  await sleep(SETTLE_MS);
  const turn = {};
  for (const { kind, broker } of clusters) turn[kind] = memoryOf(broker.pid);
  for (const cluster of clusters) await cluster.stop();
  return [turn];
}

/** Wall time of listing the topics from the command line, ms. */
export async function topicList({ base, rounds }) {
  const clusters = {};
  for (const kind of KINDS) clusters[kind] = await startCluster(kind, base);
  for (const kind of KINDS) for (let i = 0; i < 20; i++) await createTopic(clusters[kind].broker.port, `topic-${i}`, 8);
  await sleep(1000);
  const admin = ["-Xmx256m", "-cp", await referenceJars(), "org.apache.rocketmq.tools.command.MQAdminStartup"];
  const commands = {
    java: ["java", [...admin, "topicList", "-n", clusters.java.namesrv]],
    mq: [mq, ["topic", "list", "-n", clusters.mq.namesrv]],
  };
  const turns = [];
  for (let round = 0; round < rounds; round++) {
    const turn = {};
    for (const kind of KINDS) {
      const began = performance.now();
      const { stdout } = await run(...commands[kind], { cwd: base, env: { ROCKETMQ_HOME: base } });
      turn[kind] = { ms: performance.now() - began };
      if (!stdout.includes("topic-19")) throw new Error(`list the topics of ${kind}: topic-19 is missing: ${stdout}`);
    }
    turns.push(turn);
  }
  for (const kind of KINDS) await clusters[kind].stop();
  return turns;
}

/**
 * Opens `count` connections, each a client with its own heartbeat every `periodMs`, and holds them for three periods.
 * Memory is read at the end; a connection that was closed or whose heartbeat got no answer is counted as not served.
 */
export async function idleConnections({ base, count = 10_000, periodMs = 10_000 }) {
  const turn = {};
  for (const kind of KINDS) {
    const cluster = await startCluster(kind, base);
    const before = memoryOf(cluster.broker.pid);
    const began = performance.now();
    const connections = await openAll(cluster.broker.port, count);
    const openedMs = performance.now() - began;
    let beats = 0;
    let failed = 0;
    let slowest = 0;
    const failures = new Set();
    const beat = async (connection, i) => {
      const at = performance.now();
      try {
        const { code } = await connection.request(HEART_BEAT, {}, heartbeatBody(i));
        if (code !== 0) throw new Error(`code ${code}`);
        beats++;
        slowest = Math.max(slowest, performance.now() - at);
      } catch (error) {
        failed++;
        failures.add(String(error));
      }
    };
    for (let period = 0; period < 3; period++) {
      const started = performance.now();
      // Spread over the period, as clients that started at different times are.
      const slice = Math.ceil(count / (periodMs / 10));
      for (let i = 0; i < connections.length; i += slice) {
        const due = started + (i / count) * periodMs;
        await sleep(Math.max(0, due - performance.now()));
        for (const [j, connection] of connections.slice(i, i + slice).entries()) void beat(connection, i + j);
      }
      await sleep(Math.max(0, started + periodMs - performance.now()));
    }
    await sleep(1000);
    const after = memoryOf(cluster.broker.pid);
    turn[kind] = {
      served: connections.length - failed,
      wanted: count,
      beats,
      failed,
      failures: [...failures].slice(0, 3),
      openedMs,
      slowestBeatMs: slowest,
      anonymousBefore: before.anonymous,
      ...after,
    };
    for (const connection of connections) connection.close();
    await cluster.stop();
  }
  return [turn];
}

async function openAll(port, count) {
  const connections = [];
  const lanes = Array.from({ length: 64 }, async () => {
    for (;;) {
      if (connections.length + lanesOpen >= count) return;
      lanesOpen++;
      const connection = await RawConnection.to(port).catch(() => undefined);
      lanesOpen--;
      if (connection === undefined) return;
      connections.push(connection);
    }
  });
  await Promise.all(lanes);
  return connections;
}

let lanesOpen = 0;

function heartbeatBody(i) {
  return Buffer.from(
    JSON.stringify({
      clientID: `127.0.0.1@idle-${i}`,
      producerDataSet: [{ groupName: "idle-producers" }],
      consumerDataSet: [],
      heartbeatFingerprint: 0,
    }),
  );
}
