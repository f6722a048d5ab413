import { readFileSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { startBroker, startNamesrv } from "./cluster.mjs";
import { brokerPort } from "./ports.mjs";
import { logDifferences, missingAt, readLedger, settle } from "./replicas.mjs";

const REPLICA_MS_MAX = 40_000;
/** For a slave that has no topics yet: Java's copies the master's tables for the first time a minute after its start. */
const TABLES_MS_MAX = 90_000;

/** The keys of a properties file as it stands in conf/. */
function readProperties(file) {
  const lines = readFileSync(file, "utf8").split(/\r?\n/);
  return Object.fromEntries(
    lines
      .filter((line) => /^\s*[^#!\s][^=]*=/.test(line))
      .map((line) => [line.slice(0, line.indexOf("=")).trim(), line.slice(line.indexOf("=") + 1).trim()]),
  );
}

/** What the nodes of every shape share here: small files, short time-outs. */
const CLUSTER = {
  mappedFileSizeCommitLog: String(16 * 1024 * 1024),
  registerNameServerPeriod: "10000",
  haHousekeepingInterval: "4000",
  haSendHeartbeatInterval: "1000",
  slaveReadEnable: "true",
};

/** One broker of a shape; it keeps its ports and its folder over restarts, and may come back as the other kind. */
export class Node {
  constructor({ name, kind, dir, overrides, namesrv, own }) {
    Object.assign(this, { name, kind, dir, namesrv, own });
    this.overrides = { ...CLUSTER, ...overrides };
  }

  get port() {
    return this.server.port;
  }

  async start(kind = this.kind) {
    this.kind = kind;
    this.overrides.listenPort ??= String(await brokerPort());
    this.server = this.own(await startBroker(kind, this.dir, this.namesrv, this.overrides));
    return this;
  }

  stop(signal) {
    return this.server.stop(signal);
  }

  signal(signal) {
    this.server.kill(signal);
  }

  /** Takes another port at the next start, as a broker does that moved. */
  move() {
    delete this.overrides.listenPort;
  }

  wipe() {
    rmSync(`${this.dir}/store`, { recursive: true, force: true });
    this.wiped = true;
  }
}

/** A cluster of name servers and of pairs { brokerName, master, slave }, a slave only where the shape has one. */
export class Shape {
  constructor({ dir, own, report, suite }) {
    Object.assign(this, { dir, own, report, suite, namesrvs: [], pairs: [] });
    this.ledger = `${dir}/ledger`;
  }

  get namesrv() {
    return this.namesrvs.map((server) => server.address).join(";");
  }

  async startNamesrvs(kinds) {
    for (const [i, kind] of kinds.entries())
      this.namesrvs.push(this.own(await startNamesrv(kind, `${this.dir}/namesrv-${i}`)));
  }

  /** Starts the brokers of files in conf/ as masters and slaves of one shape; `kind` names who runs each. */
  async startFiles(files, kind, overrides = {}) {
    const nodes = [];
    for (const file of files) {
      const entries = readProperties(file);
      const name = basename(file, ".properties");
      const { listenPort, namesrvAddr, storePathRootDir, storePathCommitLog, haListenPort, ...kept } = entries;
      nodes.push(await this.node(name, kind, { ...kept, ...overrides }).start());
    }
    for (const master of nodes.filter((node) => node.overrides.brokerId === "0")) {
      const { brokerName } = master.overrides;
      const slave = nodes.find((node) => node !== master && node.overrides.brokerName === brokerName);
      this.pairs.push({ brokerName, master, slave });
    }
  }

  async restartNamesrv(i, kind, signal) {
    const old = this.namesrvs[i];
    await old.stop(signal);
    this.namesrvs[i] = this.own(await startNamesrv(kind, `${this.dir}/namesrv-${i}`, old.port));
  }

  node(name, kind, overrides) {
    const { own, namesrv } = this;
    return new Node({ name, kind, dir: `${this.dir}/${name}`, overrides, namesrv, own });
  }

  /** After a fault, with the load halted: what was acknowledged is on both sides, and their logs are equal. */
  async verify(topic, after) {
    for (const { brokerName, master, slave } of this.pairs) {
      const acknowledged = readLedger(this.ledger, brokerName);
      const check = (name, problems) =>
        this.report.check(
          this.suite,
          `${after}.${brokerName}.${name}`,
          problems.length === 0,
          () =>
            `${problems.length} problems of ${acknowledged.length} acknowledged: ${problems.slice(0, 3).join("; ")}`,
        );
      if (slave) check("logs-equal", await settle(() => logDifferences(master, slave), REPLICA_MS_MAX));
      check("on-the-master", await settle(() => missingAt(master.port, topic, acknowledged, false), REPLICA_MS_MAX));
      if (slave)
        check(
          "on-the-slave",
          await settle(
            () => missingAt(slave.port, topic, acknowledged, slave.wiped),
            slave.wiped || slave.kind === "java" ? TABLES_MS_MAX : REPLICA_MS_MAX,
          ),
        );
    }
  }
}
