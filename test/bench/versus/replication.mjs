// What replication costs: sync double write beside async replication of the same broker, and how far an async slave is behind.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RawConnection } from "../../conformance/support/remoting.mjs";
import { KINDS, startCluster } from "./servers.mjs";

const GET_BROKER_HA_STATUS = 907;
const LOOK_MS = 5;

/**
 * Looks at a master's log and at what its slave has reported of it, every 5 ms. `stop()` gives the milliseconds from the look that
 * found the log to end somewhere to the look that found that reported: true to 10 ms, never too little.
 */
async function watchLag(port) {
  const connection = await RawConnection.to(port);
  const looks = [];
  let running = true;
  const ended = (async () => {
    while (running) {
      const began = performance.now();
      const { masterCommitLogMaxOffset: end, haConnectionInfo } = await haStatus(connection);
      looks.push({ began, came: performance.now(), end, reported: haConnectionInfo[0]?.slaveAckOffset ?? -1 });
      await sleep(LOOK_MS);
    }
  })();
  return {
    async stop() {
      running = false;
      await ended;
      connection.close();
      return lags(looks);
    },
  };
}

async function haStatus(connection) {
  const { body } = await connection.request(GET_BROKER_HA_STATUS);
  return JSON.parse(body.toString("utf8"));
}

/** One lag for each look at which the log had grown. */
function lags(looks) {
  const found = [];
  let at = 0;
  for (let i = 1; i < looks.length; i++) {
    if (looks[i].end === looks[i - 1].end) continue;
    at = Math.max(at, i);
    while (at < looks.length && looks[at].reported < looks[i].end) at++;
    if (at === looks.length) break;
    found.push(looks[at].came - looks[i].began);
  }
  return found.sort((a, b) => a - b);
}

/** A slave that is there copies before the load begins. */
async function copying(port) {
  const connection = await RawConnection.to(port);
  while ((await haStatus(connection)).haConnectionInfo.length === 0) await sleep(50);
  connection.close();
}

/**
 * For each kind an async pair and a sync one, the load on both in turns: what is left of the rate, and the lag of the async slave
 * meanwhile, microseconds. `measure(targets, file)` runs `mq bench versus` and gives the figures by round.
 */
export async function replicationCost({ base, measure }) {
  const found = {};
  for (const kind of KINDS) {
    const file = join(base, "replication.json");
    const pairs = [];
    try {
      for (const [name, cluster] of [
        ["async", { settings: { inSyncReplicas: 1 }, role: "ASYNC_MASTER" }],
        ["sync", { settings: { inSyncReplicas: 2 }, role: "SYNC_MASTER" }],
      ])
        pairs.push(await startCluster(kind, join(base, name), { ...cluster, slave: true }));
      const [async, sync] = pairs;
      await copying(async.broker.port);
      const lag = await watchLag(async.broker.port);
      const turns = await measure([`async=${async.namesrv}`, `sync=${sync.namesrv}`], file, ["async", "sync"]);
      const behind = await lag.stop();
      const p99 = 1000 * behind[Math.floor(0.99 * behind.length)];
      found[kind] = turns.map((turn) => ({ ...turn.sync, part: turn.sync.tps / turn.async.tps, "lag-p99": p99 }));
    } finally {
      for (const pair of pairs) await pair.stop();
      rmSync(file, { force: true });
    }
  }
  return found.mq.map((mq, round) => ({ java: found.java[round], mq }));
}
