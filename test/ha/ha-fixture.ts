import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createHaService } from "../../lib/ha/ha-service.ts";
import type { HaConfig, HaService } from "../../lib/ha/types.ts";
import type { StoreConfig } from "../../lib/store/store-config.ts";
import type { PutMessageStatus } from "../../lib/store/types.ts";
import { LogLines, message, openStore, type Store, smallConfig, TempDir } from "../store/store-fixture.ts";
import { until } from "../support/until.ts";

export type NodeConfig = Partial<StoreConfig> & Partial<HaConfig>;

const HA_DEFAULTS: HaConfig = {
  brokerRole: "ASYNC_MASTER",
  flushDiskType: "ASYNC_FLUSH",
  bindAddress: "127.0.0.1",
  haSendHeartbeatInterval: 5000,
  haHousekeepingInterval: 20000,
  haTransferBatchSize: 32768,
  haMaxGapNotInSync: 256 * 1024 * 1024,
  haFlowControlEnable: false,
  maxHaTransferByteInSecond: 100 * 1024 * 1024,
  slaveTimeout: 3000,
  inSyncReplicas: 1,
  minInSyncReplicas: 1,
  allAckInSyncStateSet: false,
  enableAutoInSyncReplicas: false,
  enableSlaveActingMaster: false,
};

/** A store and its replication, as a broker wires them. */
export class HaNode implements AsyncDisposable {
  readonly dir = new TempDir();
  readonly logger = new LogLines();
  config: StoreConfig & HaConfig;
  store!: Store;
  ha!: HaService;
  running = false;

  private constructor(
    overrides: NodeConfig,
    private readonly onFatal: (error: Error) => void,
  ) {
    this.config = { ...HA_DEFAULTS, ...smallConfig(this.dir.path), ...overrides };
  }

  static async start(overrides: NodeConfig = {}, onFatal: (error: Error) => void = () => {}): Promise<HaNode> {
    const node = new HaNode(overrides, onFatal);
    await node.start();
    return node;
  }

  /** A slave that copies from `port` of this machine. */
  static async slaveOf(port: number, overrides: NodeConfig = {}): Promise<HaNode> {
    const node = await HaNode.start({ brokerRole: "SLAVE", ...overrides });
    node.follow(port);
    return node;
  }

  follow(port: number): void {
    this.ha.updateHaMasterAddress(`127.0.0.1:${port}`);
  }

  async start(port = 0): Promise<void> {
    const listeners = {
      awaitReplication: (end: number, done: (status: PutMessageStatus) => void) => this.ha.awaitReplication(end, done),
      replicaShortage: () => this.ha.shortage(),
      onAppended: () => this.ha?.appended(),
      onFlushed: () => this.ha?.flushed(),
      onFatal: this.onFatal,
    };
    this.store = await openStore(this.config, listeners, this.logger);
    this.ha = createHaService({ config: this.config, port, log: this.store.replication, logger: this.logger });
    await this.ha.start();
    this.running = true;
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    await this.ha.stop();
    await this.store.shutdown();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.dir[Symbol.dispose]();
  }

  get end(): number {
    return this.store.replication.maxOffset;
  }

  put(count: number, bytes = 300, topic = "T"): void {
    for (let i = 0; i < count; i++) {
      const result = this.store.append(message(topic, i % 4, Buffer.alloc(bytes, 97 + (i % 26)), { KEYS: `k${i}` }));
      if (result.status !== "PUT_OK") throw new Error(`${result.status}: ${result.reason}`);
    }
  }

  /** The log's bytes from `from` on, as they stand in its files. */
  bytes(from: number): Buffer {
    const folder = join(this.dir.path, "commitlog");
    const files = readdirSync(folder)
      .filter((name) => /^\d{20}$/.test(name))
      .sort();
    const first = Number(files[0]);
    return Buffer.concat(files.map((name) => readFileSync(join(folder, name)))).subarray(
      from - first,
      this.end - first,
    );
  }
}

/** Resolves when the slave holds and has dispatched all that the master has. */
export async function caughtUp(slave: HaNode, master: HaNode): Promise<void> {
  const done = ({ store }: HaNode) => store.dispatchBehindBytes === 0;
  await until(() => slave.end === master.end && done(slave) && done(master));
}

/** Where both logs are there, their bytes are equal; returns how many were compared. */
export function sameBytes(slave: HaNode, master: HaNode): boolean {
  const from = Math.max(slave.store.minPhyOffset, master.store.minPhyOffset);
  return slave.bytes(from).equals(master.bytes(from));
}

/** Appends one message and waits as its sender would. */
export function put(node: HaNode): Promise<PutMessageStatus> {
  node.put(1);
  return new Promise((resolve) => node.store.awaitDurable(node.end, true, resolve));
}
