import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBroker } from "../../lib/broker/broker.ts";
import { type BrokerConfig, defaultBrokerConfig } from "../../lib/config/broker-config.ts";
import { defaultNamesrvConfig } from "../../lib/config/namesrv-config.ts";
import { createNamesrv } from "../../lib/namesrv/namesrv.ts";
import { quietLogger } from "./quiet-logger.ts";

export interface Cluster {
  namesrvAddr: string;
  stop(): Promise<void>;
}

/** Servers of our own, whose broker can be started anew. */
export interface OwnCluster extends Cluster {
  /** Stops the broker in order and starts it again on the same port and store. */
  restartBroker(): Promise<void>;
}

/** What listens at MQ_TEST_NAMESRV, which is used and left alone; without that variable servers of our own. */
export async function startCluster(): Promise<Cluster> {
  const given = process.env.MQ_TEST_NAMESRV;
  if (given !== undefined) return { namesrvAddr: given, stop: async () => {} };
  return startOwnCluster();
}

/** A name server and a broker of ours in this process on free ports. */
export async function startOwnCluster(overrides: Partial<BrokerConfig> = {}): Promise<OwnCluster> {
  const directory = mkdtempSync(join(tmpdir(), "mq-cluster-"));
  const logger = quietLogger();
  const namesrv = createNamesrv(
    defaultNamesrvConfig({ listenPort: 0, bindAddress: "127.0.0.1", kvConfigPath: join(directory, "kvConfig.json") }),
    { logger },
  );
  await namesrv.start();
  const namesrvAddr = `127.0.0.1:${namesrv.port}`;
  const start = async (listenPort: number) => {
    const config = defaultBrokerConfig({
      listenPort,
      bindAddress: "127.0.0.1",
      brokerIP1: "127.0.0.1",
      brokerIP2: "127.0.0.1",
      namesrvAddr,
      storePathRootDir: join(directory, "store"),
      storePathCommitLog: join(directory, "store", "commitlog"),
      mappedFileSizeCommitLog: 16 * 1024 * 1024,
      ...overrides,
    });
    // Not listenPort + 1 at a restart: by then any connection of this machine may have it.
    const broker = createBroker({ ...config, haListenPort: 0 }, { logger });
    await broker.start();
    await broker.registered;
    return broker;
  };
  let broker = await start(0);
  return {
    namesrvAddr,
    restartBroker: async () => {
      const { listenPort } = broker;
      await broker.stop();
      broker = await start(listenPort);
    },
    stop: async () => {
      await broker.stop();
      await namesrv.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
