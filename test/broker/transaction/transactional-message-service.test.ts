import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { BrokerContext } from "../../../lib/broker/broker-context.ts";
import { ConsumerOffsetManager } from "../../../lib/broker/offset/consumer-offset-manager.ts";
import { endTransactionProcessors } from "../../../lib/broker/processor/end-transaction.ts";
import { BrokerStats } from "../../../lib/broker/stats/broker-stats.ts";
import { decodeStoredMessage, type StoredMessage } from "../../../lib/broker/stored-message.ts";
import { TransactionalMessageService } from "../../../lib/broker/transaction/transactional-message-service.ts";
import { TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC, TRANS_OP_HALF_TOPIC } from "../../../lib/broker/types.ts";
import { setProperties } from "../../../lib/message/fill-from-properties.ts";
import { MessageInner } from "../../../lib/message/message-inner.ts";
import { propertiesToBytes } from "../../../lib/message/properties.ts";
import { decodeRecord } from "../../../lib/message/record.ts";
import type { Connection, RemotingCommand, RemotingRequest, RemotingResponse } from "../../../lib/remoting/types.ts";
import { MemoryStore } from "../../support/memory-store.ts";
import { type QuietLogger, quietLogger } from "../../support/quiet-logger.ts";

const GROUP = "CID_RMQ_SYS_TRANS";
const COMMIT = 8;
const ROLLBACK = 12;

let store: MemoryStore;
let logger: QuietLogger;
let checks: RemotingRequest[];
let producerOnline: boolean;
let config: Record<string, unknown>;
let context: BrokerContext;
let service: TransactionalMessageService;

beforeEach(() => {
  store = new MemoryStore();
  // What a test stores is older than the round that looks at it.
  store.now = () => Date.now() - 60_000;
  logger = quietLogger();
  checks = [];
  producerOnline = true;
  config = {
    storePathRootDir: "/nowhere",
    brokerName: "broker-a",
    brokerRole: "ASYNC_MASTER",
    transactionOpMsgMaxSize: 4096,
    transactionOpBatchInterval: 3_600_000,
    transactionTimeOut: 6000,
    transactionCheckMax: 2,
    transactionCheckInterval: 3_600_000,
    fileReservedTime: 72,
    consumerOffsetUpdateVersionStep: 500,
    useServerSideResetOffset: true,
  };
  build();
});

afterEach(() => service.shutdown());

/** A broker as after a start: only store and offsets go on. */
function build(offsets?: BrokerContext["offsets"]): void {
  const connection = { pendingBytes: 0, invokeOneway: (request: RemotingRequest) => void checks.push(request) };
  context = {
    config,
    store: store.asMessageStore,
    storeHost: store.storeHost,
    brokerAddress: "127.0.0.1:10911",
    logger,
    stats: new BrokerStats({ brokerClusterName: "c" }),
    offsets: offsets ?? new ConsumerOffsetManager(config as never, logger),
    producers: { availableChannel: () => (producerOnline ? (connection as Connection) : undefined) },
    topics: { get: () => ({ readQueueNums: 1 }), createTopicOfTranCheckMaxTime: () => {} },
    schedule: { transform: () => {} },
  } as unknown as BrokerContext;
  service = new TransactionalMessageService(context);
  Object.assign(context, { transactions: service });
}

function half(body: string, properties: Record<string, string> = {}, ageMs = 60_000): StoredMessage {
  const inner = new MessageInner();
  inner.topic = "T";
  inner.queueId = 2;
  inner.sysFlag = 4;
  inner.bornTimestamp = Date.now() - ageMs;
  inner.bornHost = store.storeHost;
  inner.storeHost = store.storeHost;
  inner.body = Buffer.from(body);
  inner.bodyEnd = inner.body.length;
  setProperties(inner, propertiesToBytes({ UNIQ_KEY: body, TRAN_MSG: "true", PGROUP: "pg", TAGS: "x", ...properties }));
  service.prepare(inner);
  const { physicalOffset } = store.append(inner);
  return decodeStoredMessage({ bytes: store.records.get(physicalOffset)!, physicalOffset })!;
}

async function end(message: StoredMessage, commitOrRollback: number, change: Record<string, string> = {}) {
  const ext = {
    producerGroup: "pg",
    tranStateTableOffset: String(message.queueOffset),
    commitLogOffset: String(message.physicalOffset),
    commitOrRollback: String(commitOrRollback),
    msgId: "id",
    ...change,
  };
  const [[, entry]] = endTransactionProcessors(context) as [[number, { processor: unknown }]];
  const processor = entry.processor as (
    request: RemotingCommand,
    connection: Connection,
  ) => Promise<RemotingResponse | undefined>;
  return await processor({ ext } as unknown as RemotingCommand, { remoteAddress: "1.1.1.1:1" } as Connection);
}

function stored(topic: string, queueId = 0): StoredMessage[] {
  return store.queue(topic, queueId).entries.map(({ physicalOffset }) => {
    return decodeStoredMessage({ bytes: store.records.get(physicalOffset)!, physicalOffset })!;
  });
}

const offset = (topic: string) => context.offsets.queryOffset(GROUP, topic, 0);

describe("half message", () => {
  test("waits in the half topic with its place in the properties, its type reset", () => {
    const message = half("a");
    expect(message.topic).toBe(TRANS_HALF_TOPIC);
    expect(message.queueId).toBe(0);
    expect(message.sysFlag).toBe(0);
    expect({ ...message.properties }).toEqual({
      UNIQ_KEY: "a",
      TRAN_MSG: "true",
      PGROUP: "pg",
      TAGS: "x",
      REAL_TOPIC: "T",
      REAL_QID: "2",
      __transactionId__: "a",
    });
  });
});

test("offsets wait until what they stand for is on the disk", async () => {
  for (const body of ["a", "b"]) await end(half(body), COMMIT);
  store.flushedWhere = 0;
  await service.check();
  await service.check();
  // A power cut now would take commits and op records with it: both half messages must be found again.
  expect([offset(TRANS_HALF_TOPIC), offset(TRANS_OP_HALF_TOPIC)]).toEqual([-1, -1]);
  store.flushedWhere = store.maxPhyOffset;
  await service.check();
  expect(offset(TRANS_HALF_TOPIC)).toBe(2);
});

describe("END_TRANSACTION", () => {
  test("commit delivers a copy that names its half message", async () => {
    const message = half("a");
    expect(await end(message, COMMIT)).toEqual({ code: 0 });
    const [committed] = stored("T", 2);
    expect(committed!.body.toString()).toBe("a");
    expect(committed!.sysFlag).toBe(8);
    expect(committed!.preparedTransactionOffset).toBe(message.physicalOffset);
    expect(committed!.properties).toEqual(message.properties);
  });

  test("a commit that cannot be recorded is refused before its copy is stored", async () => {
    const message = half("a");
    Object.defineProperty(service, "canSettle", { value: false });
    await expect(end(message, COMMIT)).rejects.toThrow("op records cannot be written");
    expect(stored("T", 2)).toEqual([]);
  });

  test("op records carry tag d and the half offsets, joined", async () => {
    for (const body of ["a", "b", "c"]) await end(half(body), body === "b" ? ROLLBACK : COMMIT);
    await service.shutdown();
    const [op, more] = stored(TRANS_OP_HALF_TOPIC);
    expect(more).toBeUndefined();
    expect(op!.body.toString()).toBe("0,1,2,");
    expect(op!.properties.TAGS).toBe("d");
    expect(store.queue(TRANS_OP_HALF_TOPIC, 0).entries[0]!.tagsCode).toBe(100);
  });

  test("an op record is written when it is large enough", async () => {
    config.transactionOpMsgMaxSize = 4;
    for (const body of ["a", "b", "c"]) await end(half(body), ROLLBACK);
    expect(stored(TRANS_OP_HALF_TOPIC).map(({ body }) => body.toString())).toEqual(["0,1,"]);
  });

  test("rollback delivers nothing", async () => {
    expect(await end(half("a"), ROLLBACK)).toEqual({ code: 0 });
    expect(stored("T", 2)).toEqual([]);
  });

  test("unknown state gets no answer", async () => {
    expect(await end(half("a"), 0)).toBeUndefined();
  });

  test("the same answer twice delivers once", async () => {
    const message = half("a");
    expect(await end(message, COMMIT)).toEqual({ code: 0 });
    expect(await end(message, COMMIT)).toEqual({ code: 0 });
    expect(stored("T", 2)).toHaveLength(1);
  });

  test.each([
    [{ producerGroup: "other" }, 1, "The producer group wrong"],
    [{ tranStateTableOffset: "7" }, 1, "The transaction state table offset wrong"],
    [{ commitLogOffset: "77777" }, 1, "Find prepared transaction message failed"],
  ])("is refused for %p", async (change, code, remark) => {
    const message = half("a");
    const refused = await end(message, COMMIT, change as Record<string, string>).catch((error) => error);
    expect(refused.code).toBe(code);
    expect(refused.remark).toStartWith(remark);
  });

  test("only a half message can be ended", async () => {
    const inner = new MessageInner();
    inner.topic = "T";
    inner.bornHost = store.storeHost;
    inner.storeHost = store.storeHost;
    setProperties(inner, propertiesToBytes({ PGROUP: "pg", REAL_TOPIC: "Victim", REAL_QID: "0" }));
    const { physicalOffset } = store.append(inner);
    const plain = decodeStoredMessage({ bytes: store.records.get(physicalOffset)!, physicalOffset })!;
    const refused = await end(plain, COMMIT).catch((error) => error);
    expect(refused.remark).toContain("belongs to topic T");
  });

  test("an answer past the producer's own check time is refused unless it answers a check", async () => {
    const message = half("a", { CHECK_IMMUNITY_TIME_IN_SECONDS: "10" });
    const refused = await end(message, COMMIT).catch((error) => error);
    expect(refused.code).toBe(604);
    expect(await end(message, COMMIT, { fromTransactionCheck: "true" })).toEqual({ code: 0 });
  });

  test("a slave refuses", async () => {
    config.brokerRole = "SLAVE";
    expect((await end(half("a"), COMMIT))!.code).toBe(11);
  });
});

describe("check", () => {
  test("what is answered is crossed out and the offsets advance", async () => {
    for (const body of ["a", "b"]) await end(half(body), COMMIT);
    await service.check();
    expect(checks).toEqual([]);
    expect(offset(TRANS_HALF_TOPIC)).toBe(2);
    expect(offset(TRANS_OP_HALF_TOPIC)).toBe(1);
  });

  test("asks the producer with the message under its real topic, and the offsets of a new copy", async () => {
    half("a");
    await service.check();
    expect(checks).toHaveLength(1);
    const copy = stored(TRANS_HALF_TOPIC)[1]!;
    expect(copy.properties.TRANSACTION_CHECK_TIMES).toBe("1");
    expect(checks[0]!.code).toBe(39);
    expect(checks[0]!.ext).toEqual({
      topic: TRANS_HALF_TOPIC,
      tranStateTableOffset: 1,
      commitLogOffset: copy.physicalOffset,
      msgId: "a",
      transactionId: "a",
      offsetMsgId: `7F00000100002A9F${copy.physicalOffset.toString(16).toUpperCase().padStart(16, "0")}`,
      bname: "broker-a",
    });
    const asked = decodeRecord(checks[0]!.body as Buffer)!;
    expect(asked.topic).toBe("T");
    expect(asked.queueId).toBe(2);
    expect(asked.queueOffset).toBe(1);
    expect(asked.body.toString()).toBe("a");
    // The first place is done, the copy is what waits.
    expect(offset(TRANS_HALF_TOPIC)).toBe(1);
  });

  test("the answer to a check ends it", async () => {
    half("a");
    await service.check();
    const copy = stored(TRANS_HALF_TOPIC)[1]!;
    expect(await end(copy, COMMIT, { fromTransactionCheck: "true" })).toEqual({ code: 0 });
    await service.check();
    expect(checks).toHaveLength(1);
    expect(stored("T", 2)).toHaveLength(1);
    expect(offset(TRANS_HALF_TOPIC)).toBe(2);
  });

  test("a late answer to the first place ends the copy too", async () => {
    const message = half("a");
    await service.check();
    await end(message, COMMIT);
    await service.check();
    await service.check();
    expect(checks).toHaveLength(1);
    expect(offset(TRANS_HALF_TOPIC)).toBe(2);
  });

  test("a young message, or one in its immunity time, is left alone and holds up no other", async () => {
    half("young", {}, 100);
    half("immune", { CHECK_IMMUNITY_TIME_IN_SECONDS: "3600" });
    half("due");
    await service.check();
    expect(checks.map(({ ext }) => ext!.msgId)).toEqual(["due"]);
    expect(offset(TRANS_HALF_TOPIC)).toBe(0);
  });

  test("discards after transactionCheckMax checks, keeps the message and says so", async () => {
    half("a");
    for (let round = 0; round < 4; round++) await service.check();
    expect(checks).toHaveLength(2);
    const [kept] = stored(TRANS_CHECK_MAX_TIME_TOPIC);
    expect(kept!.body.toString()).toBe("a");
    const line = logger.lines.find(({ message }) => message === "a half message is discarded");
    expect(line!.fields).toMatchObject({ uniqKey: "a", topic: "T", group: "pg", keptAt: 0 });
    expect(offset(TRANS_HALF_TOPIC)).toBe(3);
  });

  test("without a producer nothing is counted or discarded, and it is said once", async () => {
    producerOnline = false;
    half("a");
    for (let round = 0; round < 5; round++) await service.check();
    expect(stored(TRANS_HALF_TOPIC)).toHaveLength(1);
    expect(logger.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
    producerOnline = true;
    await service.check();
    expect(checks).toHaveLength(1);
  });

  test("discards what is older than fileReservedTime", async () => {
    producerOnline = false;
    half("a", {}, 73 * 3_600_000);
    await service.check();
    expect(stored(TRANS_CHECK_MAX_TIME_TOPIC)).toHaveLength(1);
  });

  test("a record that cannot be read is skipped, the rest goes on", async () => {
    const broken = half("broken");
    half("good");
    store.records.get(broken.physicalOffset)![4] = 0;
    await service.check();
    expect(checks.map(({ ext }) => ext!.msgId)).toEqual(["good"]);
    expect(offset(TRANS_HALF_TOPIC)).toBe(2);
  });

  test("a store that refuses writes loses nothing", async () => {
    half("a");
    store.refusal = "SERVICE_NOT_AVAILABLE";
    await service.check();
    expect(checks).toEqual([]);
    expect(offset(TRANS_HALF_TOPIC)).toBe(0);
    store.refusal = undefined;
    await service.check();
    expect(checks).toHaveLength(1);
  });

  test("a message too large for one property more is asked for where it stands, and others with it", async () => {
    const large = half("large");
    half("other");
    const append = store.append.bind(store);
    store.append = (message) =>
      message.body.toString() === "large"
        ? { ...append(message), status: "PROPERTIES_SIZE_EXCEEDED" }
        : append(message);
    await service.check();
    expect(checks.map(({ ext }) => [ext!.msgId, ext!.commitLogOffset])[0]).toEqual(["large", large.physicalOffset]);
    expect(checks).toHaveLength(2);
  });

  test("a restart goes on from store and offsets alone", async () => {
    half("waiting", { CHECK_IMMUNITY_TIME_IN_SECONDS: "30" }, 20_000);
    for (let i = 0; i < 5; i++) await end(half(`done${i}`), i % 2 === 0 ? COMMIT : ROLLBACK);
    half("due");
    await service.check();
    expect(checks).toHaveLength(1);
    await service.shutdown();
    const { offsets } = context;
    checks = [];
    build(offsets);
    const copy = stored(TRANS_HALF_TOPIC)[7]!;
    expect(copy.properties.UNIQ_KEY).toBe("due");
    await end(copy, COMMIT);
    await service.check();
    expect(checks).toEqual([]);
    expect(offset(TRANS_HALF_TOPIC)).toBe(0);
    await end(stored(TRANS_HALF_TOPIC)[0]!, COMMIT);
    await service.check();
    expect(offset(TRANS_HALF_TOPIC)).toBe(8);
    expect(offset(TRANS_OP_HALF_TOPIC)).toBe(store.getMaxOffsetInQueue(TRANS_OP_HALF_TOPIC, 0));
  });

  test("a copy that a Java broker made in the immunity time ends with the answer to its original", async () => {
    const original = half("a", { CHECK_IMMUNITY_TIME_IN_SECONDS: "3600" });
    await end(original, COMMIT, { fromTransactionCheck: "true" });
    half("a", { CHECK_IMMUNITY_TIME_IN_SECONDS: "1", TRAN_PREPARED_QUEUE_OFFSET: "0" });
    // As the Java broker leaves it: the copy is next, the op record of the original is still ahead.
    context.offsets.commitOffset("", GROUP, TRANS_HALF_TOPIC, 0, 1);
    await service.check();
    await service.check();
    expect(checks).toEqual([]);
    expect(offset(TRANS_HALF_TOPIC)).toBe(2);
  });
});
