import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "../../lib/base/crc32.ts";
import { parseFastjson, stringifyFastjson } from "../../lib/base/fastjson.ts";
import type { Logger } from "../../lib/base/log.ts";
import { defaultNamesrvConfig, type NamesrvConfig } from "../../lib/config/namesrv-config.ts";
import { createNamesrv, type Namesrv } from "../../lib/namesrv/namesrv.ts";
import { createRemotingClient } from "../../lib/remoting/client.ts";
import { RequestCode } from "../../lib/remoting/codes.ts";
import type { RemotingClient, RemotingCommand } from "../../lib/remoting/types.ts";

const TIMEOUT_MS = 5_000;

export interface LogLine {
  level: string;
  message: string;
}

/** A logger that keeps what it was told. */
export function memoryLogger(): Logger & { lines: LogLine[] } {
  const lines: LogLine[] = [];
  const level = (name: string) => (message: string) => void lines.push({ level: name, message });
  return { lines, debug: level("debug"), info: level("info"), warn: level("warn"), error: level("error") };
}

/** A name server on a free port with its own folder, and clients of it. */
export class NamesrvFixture {
  readonly folder = mkdtempSync(join(tmpdir(), "mq-namesrv-"));
  readonly logger = memoryLogger();
  readonly config: NamesrvConfig;
  namesrv: Namesrv;
  private readonly clients: RemotingClient[] = [];

  constructor(overrides: Partial<NamesrvConfig> = {}) {
    this.config = defaultNamesrvConfig({
      listenPort: 0,
      bindAddress: "127.0.0.1",
      kvConfigPath: join(this.folder, "kvConfig.json"),
      configStorePath: join(this.folder, "namesrv.properties"),
      ...overrides,
    });
    this.namesrv = createNamesrv(this.config, { logger: this.logger });
  }

  static async start(overrides: Partial<NamesrvConfig> = {}): Promise<NamesrvFixture> {
    const fixture = new NamesrvFixture(overrides);
    await fixture.namesrv.start();
    return fixture;
  }

  async restart(): Promise<void> {
    await this.namesrv.stop();
    this.namesrv = createNamesrv(this.config, { logger: this.logger });
    await this.namesrv.start();
  }

  /** A connection of its own. */
  peer(): Peer {
    const client = createRemotingClient();
    this.clients.push(client);
    return new Peer(client, `127.0.0.1:${this.namesrv.port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
    await this.namesrv.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface BrokerOptions {
  name?: string;
  address?: string;
  id?: number;
  cluster?: string;
  topics?: string[];
  perm?: number;
  counter?: number;
  stateVersion?: number;
  ext?: Record<string, string | number | boolean>;
}

/** One connection to the name server. */
export class Peer {
  constructor(
    readonly client: RemotingClient,
    readonly address: string,
  ) {}

  call(
    code: number,
    ext: Record<string, string | number | boolean | undefined> = {},
    body?: Uint8Array | string,
  ): Promise<RemotingCommand> {
    return this.client.invoke(this.address, { code, ext, body }, TIMEOUT_MS);
  }

  register(options: BrokerOptions = {}): Promise<RemotingCommand> {
    const body = registerBody(options);
    const ext = { ...identity(options), haServerAddr: "10.0.0.9:10912", bodyCrc32: crc32(body), ...options.ext };
    return this.call(RequestCode.REGISTER_BROKER, ext, body);
  }

  unregister(options: BrokerOptions = {}): Promise<RemotingCommand> {
    return this.call(RequestCode.UNREGISTER_BROKER, identity(options));
  }

  route(topic: string, ext: Record<string, string | number | boolean> = {}): Promise<RemotingCommand> {
    return this.call(RequestCode.GET_ROUTEINFO_BY_TOPIC, { topic, ...ext });
  }

  async topics(): Promise<string[]> {
    const { body } = await this.call(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER);
    return (parseFastjson(body ?? "{}") as { topicList: string[] }).topicList;
  }

  close(): Promise<void> {
    return this.client.close();
  }
}

function identity({ name = "broker-a", address = "10.0.0.1:10911", id = 0, cluster = "c" }: BrokerOptions) {
  return { brokerName: name, brokerAddr: address, clusterName: cluster, brokerId: id };
}

export function registerBody(options: BrokerOptions = {}): Buffer {
  const { topics = ["T1", "T2"], perm = 6, counter = 1, stateVersion = 0 } = options;
  const topicConfigTable = Object.fromEntries(
    topics.map((topicName) => [
      topicName,
      { topicName, readQueueNums: 4, writeQueueNums: 4, perm, topicSysFlag: 0, topicFilterType: "SINGLE_TAG" },
    ]),
  );
  const dataVersion = { counter, stateVersion, timestamp: 1_700_000_000_000 };
  return Buffer.from(
    stringifyFastjson({ filterServerList: [], topicConfigSerializeWrapper: { dataVersion, topicConfigTable } }),
  );
}

/** Waits until `condition` holds; the test's own time-out ends it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(5);
}
