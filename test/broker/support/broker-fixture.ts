import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, createBroker } from "../../../lib/broker/broker.ts";
import { type BrokerConfig, defaultBrokerConfig } from "../../../lib/config/broker-config.ts";
import { propertiesToBytes } from "../../../lib/message/properties.ts";
import { createRemotingClient, type RemotingClientOptions } from "../../../lib/remoting/client.ts";
import { RequestCode } from "../../../lib/remoting/codes.ts";
import type { RemotingClient, RemotingCommand, SerializeType } from "../../../lib/remoting/types.ts";
import { MemoryLogger } from "./memory-logger.ts";

const MIB = 1024 * 1024;

/** A broker of its own on a free port with an empty store, and clients of it; `close` ends and removes all. */
export class BrokerFixture {
  readonly folder: string;
  readonly logger = new MemoryLogger();
  broker: Broker;
  readonly clients: RemotingClient[] = [];

  private constructor(private readonly overrides: Partial<BrokerConfig>) {
    this.folder = mkdtempSync(join(tmpdir(), "mq-broker-"));
    this.broker = this.create();
  }

  /** `prepare` fills the store's folder before the broker opens it. */
  static async start(
    overrides: Partial<BrokerConfig> = {},
    prepare?: (folder: string) => void,
  ): Promise<BrokerFixture> {
    const fixture = new BrokerFixture(overrides);
    prepare?.(fixture.folder);
    await fixture.broker.start();
    return fixture;
  }

  get address(): string {
    return this.broker.brokerAddress;
  }

  client(serializeType: SerializeType = 0, options: RemotingClientOptions = {}): RemotingClient {
    const client = createRemotingClient({ ...options, serializeType });
    this.clients.push(client);
    return client;
  }

  /** Stops the broker and starts another one on its store. */
  async restart(): Promise<void> {
    await this.broker.stop();
    this.broker = this.create();
    await this.broker.start();
  }

  async close(): Promise<void> {
    for (const client of this.clients) await client.close();
    await this.broker.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private create(): Broker {
    const config = defaultBrokerConfig({
      brokerName: "broker-a",
      brokerClusterName: "DefaultCluster",
      namesrvAddr: "",
      listenPort: 0,
      bindAddress: "127.0.0.1",
      brokerIP1: "127.0.0.1",
      storePathRootDir: this.folder,
      mappedFileSizeCommitLog: 16 * MIB,
      mappedFileSizeConsumeQueue: 20 * 20_000,
      maxHashSlotNum: 1000,
      maxIndexNum: 4000,
      ...this.overrides,
    });
    return createBroker(config, { logger: this.logger });
  }
}

export interface SendFields {
  topic?: string;
  queueId?: number;
  body?: string;
  properties?: Record<string, string>;
  ext?: Record<string, string | number | boolean | undefined>;
}

/** SEND_MESSAGE_V2 (or SEND_MESSAGE) with sensible fields. */
export function sendRequest(fields: SendFields = {}, code: number = RequestCode.SEND_MESSAGE_V2) {
  const { topic = "TopicTest", queueId = 0, body = "hello", properties = { UNIQ_KEY: "0A0000010001" } } = fields;
  const long = {
    producerGroup: "PG",
    topic,
    defaultTopic: "TBW102",
    defaultTopicQueueNums: 4,
    queueId,
    sysFlag: 0,
    bornTimestamp: 1_700_000_000_000,
    flag: 7,
    properties: propertiesToBytes(properties).toString("utf8"),
    reconsumeTimes: 0,
    unitMode: false,
    maxReconsumeTimes: undefined,
    batch: false,
  };
  const letters = "abcdefghijklm";
  const ext =
    code === RequestCode.SEND_MESSAGE || code === RequestCode.SEND_REPLY_MESSAGE
      ? long
      : Object.fromEntries(Object.values(long).map((value, i) => [letters[i], value]));
  return { code, ext: { ...ext, ...fields.ext }, body };
}

export interface PullFields {
  group?: string;
  topic?: string;
  queueId?: number;
  offset?: number;
  tags?: string;
  suspendMs?: number;
  ext?: Record<string, string | number | boolean | undefined>;
}

/** PULL_MESSAGE that brings its subscription along; with `suspendMs` it may wait. */
export function pullRequest(fields: PullFields = {}, code: number = RequestCode.PULL_MESSAGE) {
  const { group = "CG", topic = "TopicTest", queueId = 0, offset = 0, tags = "*", suspendMs } = fields;
  return {
    code,
    ext: {
      consumerGroup: group,
      topic,
      queueId,
      queueOffset: offset,
      maxMsgNums: 32,
      sysFlag: 4 | (suspendMs === undefined ? 0 : 2),
      commitOffset: 0,
      suspendTimeoutMillis: suspendMs ?? 0,
      subscription: tags,
      subVersion: 1,
      expressionType: "TAG",
      ...fields.ext,
    },
  };
}

/** HEART_BEAT of one client with one consumer group and one producer group. */
export function heartbeatRequest(clientId: string, group = "CG", topic = "TopicTest", subString = "*") {
  return {
    code: RequestCode.HEART_BEAT,
    body: JSON.stringify({
      clientID: clientId,
      consumerDataSet: [
        {
          groupName: group,
          consumeType: "CONSUME_PASSIVELY",
          messageModel: "CLUSTERING",
          consumeFromWhere: "CONSUME_FROM_LAST_OFFSET",
          subscriptionDataSet: [{ topic, subString, subVersion: 1, codeSet: [], tagsSet: [] }],
          unitMode: false,
        },
      ],
      producerDataSet: [{ groupName: "PG" }],
    }),
  };
}

export function bodyText(response: RemotingCommand): string {
  return response.body?.toString("utf8") ?? "";
}
