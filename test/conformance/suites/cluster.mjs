import { readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "../support/cache.mjs";
import { mqadmin } from "../support/cluster.mjs";
import { driveJava } from "../support/driver.mjs";
import { startProxy } from "../support/proxy.mjs";
import { settle } from "../support/replicas.mjs";
import { Shape } from "../support/shape.mjs";

const javaTools = ["java", "javac", "mvn"];

/** How long a process stands still: longer than the house-keeping time-outs of support/shape.mjs. */
const STILL_MS = 6_000;
const TROUBLE_MS = 4_000;
const HA_STATUS_MS_MAX = 20_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function killed(node) {
  await node.stop("SIGKILL");
  await sleep(500);
  await node.start();
}

async function still(node) {
  node.signal("SIGSTOP");
  await sleep(STILL_MS);
  node.signal("SIGCONT");
}

/** What is done to a pair under load, by name; each ends with every process running again. */
const FAULTS = {
  "kill-master": ({ master }) => killed(master),
  "kill-slave": ({ slave }) => killed(slave),
  "stop-master": ({ master }) => still(master),
  "stop-slave": ({ slave }) => still(slave),
  "kill-namesrv": async (_, shape) => {
    await shape.restartNamesrv(0, shape.kinds.namesrv[0], "SIGKILL");
  },
  "stop-namesrv": async (_, shape) => {
    shape.namesrvs[0].kill("SIGSTOP");
    await sleep(STILL_MS);
    shape.namesrvs[0].kill("SIGCONT");
  },
  "slow-link": async (_, shape) => {
    shape.proxy.trouble({ delayMs: 5, splitBytes: 700 });
    await sleep(TROUBLE_MS);
    shape.proxy.trouble();
  },
  "cut-link": async (_, shape) => {
    shape.proxy.trouble({ cutBytesMax: 20_000, splitBytes: 997 });
    await sleep(TROUBLE_MS);
    shape.proxy.trouble();
  },
  "wipe-slave": async ({ slave }) => {
    await slave.stop("SIGKILL");
    slave.wipe();
    await slave.start();
  },
  "move-master": async ({ master }) => {
    await master.stop("SIGTERM");
    master.move();
    await master.start();
  },
};

/** Drives the load through the steps: each `act` runs under load, then both sides of every pair are compared. */
async function throughSteps(shape, run, steps, { strict = false } = {}) {
  const left = [...steps];
  let current;
  await driveJava(shape.report, shape.suite, {
    version: "v5",
    encoding: "ROCKETMQ",
    namesrv: shape.namesrv,
    run,
    themes: "cluster-load",
    dir: shape.dir,
    timeoutMs: 500_000,
    // A SYNC_MASTER without its slave answers after slaveTimeout, 3 s: the client's own 3 s would leave no time for another broker.
    properties: strict ? ["-Dconformance.sendTimeout=10000"] : [],
    answers: {
      fault: async () => {
        current = left.shift();
        if (!current) return "end";
        await current.act();
        return `${current.name} ${shape.ledger}${strict ? " strict" : ""}`;
      },
      verify: () => shape.verify(`${run}-cluster-load-topic`, current.name),
    },
  });
}

/** What the official admin tool says of every pair once all is well again: both sides, nothing behind. */
async function checkHaStatus({ report, suite, dir, namesrv, pairs }) {
  for (const { brokerName, master, slave } of pairs) {
    if (!slave) continue;
    const sides = [
      [master, /#SlaveNum\s+1\s[\s\S]*127\.0\.0\.1:\d+\s+\d+\s+0\s+[\d.]+\s+OK\s/],
      [slave, /#MasterAddr\s+127\.0\.0\.1:\d+\s+#CommitLogMaxOffset\s+[1-9]/],
    ];
    for (const [node, wanted] of sides) {
      const said = await settle(async () => {
        const { stdout, stderr } = await mqadmin(dir, ["haStatus", "-n", namesrv, "-b", `127.0.0.1:${node.port}`]);
        return wanted.test(stdout) ? [] : [`${stdout}${stderr}`.slice(0, 600)];
      }, HA_STATUS_MS_MAX);
      const side = node === master ? "master" : "slave";
      report.check(suite, `mqadmin-haStatus.${brokerName}.${side}`, said.length === 0, () => said.join());
    }
  }
}

const ROLES = {
  sync: {
    master: { brokerRole: "SYNC_MASTER", inSyncReplicas: "2", flushDiskType: "SYNC_FLUSH" },
    slave: { flushDiskType: "SYNC_FLUSH" },
  },
  async: { master: { brokerRole: "ASYNC_MASTER" }, slave: {} },
};

/**
 * A proxy before the master's HA port. The slave's name server is a proxy as well, which tells it the former's port:
 * RocketMQ 5.3.3 forgets the key haMasterAddress at its start.
 */
async function putProxyBetween(shape, master) {
  const haPort = () => Number(master.port) + 1;
  shape.proxy = shape.own(await startProxy(haPort));
  const namesrv = shape.own(
    await startProxy(
      () => shape.namesrvs[0].port,
      (bytes) => {
        const text = bytes.toString("latin1");
        return Buffer.from(text.replaceAll(`127.0.0.1:${haPort()}`, `127.0.0.1:${shape.proxy.port}`), "latin1");
      },
    ),
  );
  shape.slavesNamesrv = `127.0.0.1:${namesrv.port}`;
}

/** One master and one slave, a proxy between them, under the named faults. */
function pair(masterKind, slaveKind, mode, faults) {
  const javaOnly = masterKind === "java" && slaveKind === "java";
  return {
    name: `pair-${masterKind}-${slaveKind}-${mode}`,
    about: `a ${masterKind} master and a ${slaveKind} slave, ${mode}: ${faults.join(", ")}`,
    targets: [javaOnly ? "java" : "mq"],
    needs: javaTools,
    async run({ report, suite, dir, own, themes }) {
      const shape = new Shape({ dir, own, report, suite });
      shape.kinds = { namesrv: [javaOnly ? "java" : "mq"] };
      await shape.startNamesrvs(shape.kinds.namesrv);
      const master = await shape.node("broker-a", masterKind, { brokerId: "0", ...ROLES[mode].master }).start();
      await putProxyBetween(shape, master);
      const slave = shape.node("broker-a-s", slaveKind, { brokerId: "1", brokerRole: "SLAVE", ...ROLES[mode].slave });
      slave.namesrv = shape.slavesNamesrv;
      await slave.start();
      shape.pairs.push({ brokerName: "broker-a", master, slave });
      const chosen = themes === "all" ? faults : themes.split(",");
      await throughSteps(
        shape,
        suite,
        chosen.map((name) => ({ name, act: () => FAULTS[name](shape.pairs[0], shape) })),
      );
    },
  };
}

const EVERY = [
  "kill-master",
  "kill-slave",
  "stop-master",
  "stop-slave",
  "kill-namesrv",
  "stop-namesrv",
  "slow-link",
  "cut-link",
  "move-master",
  "wipe-slave",
];
const MIXED = ["kill-master", "kill-slave", "stop-slave", "cut-link", "wipe-slave"];

/** What users do to any shape: every node is killed once, under load. */
const SHAPES = {
  "1m-noslave": { faults: ["kill-master", "kill-namesrv"] },
  "2m-noslave": { faults: ["kill-master", "stop-master", "kill-namesrv"] },
  "2m-2s-async": { faults: ["kill-master", "kill-slave", "stop-master", "stop-slave", "kill-namesrv"] },
  "2m-2s-sync": { faults: ["kill-master", "kill-slave", "stop-master", "stop-slave", "kill-namesrv", "wipe-slave"] },
};

/** A shape of conf/ with two name servers, its files as they stand but for ports, folders and short time-outs. */
function shapeOf(name, { faults }) {
  return {
    name: `shape-${name}`,
    about: `conf/${name} under load: ${faults.join(", ")}`,
    targets: ["mq"],
    needs: javaTools,
    async run({ report, suite, dir, own, themes }) {
      const shape = new Shape({ dir, own, report, suite });
      shape.kinds = { namesrv: ["mq", "mq"] };
      await shape.startNamesrvs(shape.kinds.namesrv);
      const folder = join(root, "conf", name);
      const files = readdirSync(folder)
        .filter((file) => file.endsWith(".properties"))
        .sort()
        .map((file) => join(folder, file));
      await shape.startFiles(files, "mq");
      const chosen = themes === "all" ? faults : themes.split(",");
      const possible = chosen.filter((fault) => shape.pairs[0].slave || !fault.endsWith("-slave"));
      await throughSteps(
        shape,
        suite,
        possible.map((fault) => ({ name: fault, act: () => FAULTS[fault](shape.pairs[0], shape) })),
      );
      await checkHaStatus(shape);
    },
  };
}

/** 2m-2s-sync on Java moves to mq node by node under load, on the same folders, and one master moves back. */
const rolling = {
  name: "rolling-move",
  about: "a 2m-2s cluster moves from Java to mq node by node under load, and one pair moves back",
  targets: ["mq"],
  needs: javaTools,
  async run({ report, suite, dir, own }) {
    const shape = new Shape({ dir, own, report, suite });
    await shape.startNamesrvs(["java", "java"]);
    for (const brokerName of ["broker-a", "broker-b"]) {
      const master = await shape.node(brokerName, "java", { brokerName, brokerId: "0", ...ROLES.sync.master }).start();
      const slave = await shape
        .node(`${brokerName}-s`, "java", { brokerName, brokerId: "1", brokerRole: "SLAVE", ...ROLES.sync.slave })
        .start();
      shape.pairs.push({ brokerName, master, slave });
    }
    const [a, b] = shape.pairs;
    const move = async (node, kind) => {
      await node.stop("SIGTERM");
      await node.start(kind);
    };
    const steps = [
      { name: "namesrv-0-to-mq", act: () => shape.restartNamesrv(0, "mq", "SIGTERM") },
      { name: "slave-a-to-mq", act: () => move(a.slave, "mq") },
      { name: "master-a-to-mq", act: () => move(a.master, "mq") },
      { name: "slave-b-to-mq", act: () => move(b.slave, "mq") },
      { name: "master-b-to-mq", act: () => move(b.master, "mq") },
      { name: "namesrv-1-to-mq", act: () => shape.restartNamesrv(1, "mq", "SIGTERM") },
      { name: "slave-a-back-to-java", act: () => move(a.slave, "java") },
      { name: "master-a-back-to-java", act: () => move(a.master, "java") },
    ];
    await throughSteps(shape, suite, steps, { strict: true });
  },
};

export const clusterSuites = [
  rolling,
  ...Object.entries(SHAPES).map(([name, shape]) => shapeOf(name, shape)),
  pair("java", "java", "sync", EVERY),
  pair("java", "java", "async", EVERY),
  pair("mq", "mq", "sync", EVERY),
  pair("mq", "mq", "async", EVERY),
  ...["sync", "async"].flatMap((mode) => [pair("java", "mq", mode, MIXED), pair("mq", "java", mode, MIXED)]),
];
