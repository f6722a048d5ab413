import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { ClientManager } from "../../../lib/broker/client/client-manager.ts";
import { type HeartbeatData, heartbeatSchema } from "../../../lib/broker/client/heartbeat.ts";
import { RequestCode } from "../../../lib/remoting/codes.ts";
import { FakeConnection } from "../support/fake-connection.ts";
import { MemoryLogger } from "../support/memory-logger.ts";

function setUp(unknownGroups: string[] = []) {
  const logger = new MemoryLogger();
  const clock = { ms: 1_000_000 };
  const clients = new ClientManager(
    {
      expiredAfterMs: 120_000,
      rejectPullConsumer: false,
      realTimeNotices: true,
      now: () => clock.ms,
      prepareGroup: (group) => (unknownGroups.includes(group) ? undefined : { notify: true, created: false }),
      wantsNotices: () => true,
    },
    logger,
  );
  return { clients, clock, logger };
}

function heartbeat(clientID: string, extra: Record<string, unknown> = {}, topics = ["T"], version = 1): HeartbeatData {
  return v.parse(heartbeatSchema, {
    clientID,
    consumerDataSet: [
      {
        groupName: "G",
        consumeType: "CONSUME_PASSIVELY",
        messageModel: "CLUSTERING",
        consumeFromWhere: "CONSUME_FROM_LAST_OFFSET",
        subscriptionDataSet: topics.map((topic) => ({ topic, subString: "*", subVersion: version })),
      },
    ],
    producerDataSet: [{ groupName: "P" }],
    ...extra,
  });
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("heartbeat body", () => {
  test("takes what clients of other languages send", () => {
    const parsed = v.parse(heartbeatSchema, {
      clientID: "c",
      consumerDataSet: [
        {
          groupName: "G",
          consumeType: 1,
          messageModel: "clustering",
          consumeFromWhere: "NO_SUCH_PLACE",
          subscriptionDataSet: [{ topic: "T", subString: null, tagsSet: null, codeSet: ["2598919"], subVersion: "17" }],
        },
      ],
    });
    expect(parsed.producerDataSet).toEqual([]);
    expect(parsed.heartbeatFingerprint).toBe(0);
    const [consumer] = parsed.consumerDataSet;
    expect(consumer?.consumeType).toBe("CONSUME_PASSIVELY");
    expect(consumer?.messageModel).toBe("CLUSTERING");
    expect(consumer?.consumeFromWhere).toBe("CONSUME_FROM_LAST_OFFSET");
    expect(consumer?.subscriptionDataSet[0]?.codeSet.has(2598919)).toBe(true);
    expect(consumer?.subscriptionDataSet[0]?.subVersion).toBe(17);
  });

  test("refuses a client without an id", () => {
    expect(v.safeParse(heartbeatSchema, { clientID: "" }).success).toBe(false);
  });
});

describe("client manager", () => {
  test("puts a client online, and its groups are found by topic and id", () => {
    const { clients } = setUp();
    const connection = new FakeConnection();
    const outcome = clients.heartbeat(heartbeat("c1"), connection, 0, 479);
    expect(outcome).toEqual({ subscriptionChanged: true, refusal: undefined });
    expect(clients.consumers.clientIds("G")).toEqual(["c1"]);
    expect(clients.consumers.queryTopicConsumeByWho("T")).toEqual(["G"]);
    expect(clients.consumers.findChannel("G", "c1")?.connection).toBe(connection);
    expect(clients.producers.findChannel("c1")).toBe(connection);
    expect(clients.producers.availableChannel("P")).toBe(connection);
  });

  test("skips a group that may not be created", () => {
    const { clients } = setUp(["G"]);
    clients.heartbeat(heartbeat("c1"), new FakeConnection(), 0, 479);
    expect(clients.consumers.group("G")).toBeUndefined();
  });

  test("tells all members at once when one joins, leaves or loses its connection; one notice for many changes of a turn", async () => {
    const { clients } = setUp();
    const [a, b] = [new FakeConnection(), new FakeConnection()];
    clients.heartbeat(heartbeat("a"), a, 0, 479);
    clients.heartbeat(heartbeat("b"), b, 0, 479);
    await turn();
    const notice = { code: RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, ext: { consumerGroup: "G" } };
    expect(a.oneways).toEqual([notice]);
    expect(b.oneways).toEqual([notice]);
    clients.heartbeat(heartbeat("b"), b, 0, 479);
    await turn();
    expect(a.oneways).toHaveLength(1);
    b.closed = true;
    clients.connectionClosed(b);
    await turn();
    expect(a.oneways).toEqual([notice, notice]);
    expect(clients.consumers.clientIds("G")).toEqual(["a"]);
    clients.unregister(a, "P", "G");
    expect(clients.consumers.group("G")).toBeUndefined();
    expect(clients.consumers.queryTopicConsumeByWho("T")).toEqual([]);
    expect(clients.producers.groups.size).toBe(0);
    expect(clients.producers.findChannel("a")).toBeUndefined();
  });

  test("a broadcasting group is not told", async () => {
    const { clients } = setUp();
    const connection = new FakeConnection();
    const data = heartbeat("a");
    for (const consumer of data.consumerDataSet) consumer.messageModel = "BROADCASTING";
    clients.heartbeat(data, connection, 0, 479);
    await turn();
    expect(connection.oneways).toEqual([]);
  });

  test("a newer subscription replaces the old one, an older one does not, a missing topic is dropped", () => {
    const { clients } = setUp();
    const connection = new FakeConnection();
    clients.heartbeat(heartbeat("a", {}, ["T", "U"], 5), connection, 0, 479);
    clients.heartbeat(heartbeat("a", {}, ["T"], 4), connection, 0, 479);
    expect(clients.consumers.findSubscriptionData("G", "T")?.subVersion).toBe(5);
    expect(clients.consumers.findSubscriptionData("G", "U")).toBeUndefined();
    expect(clients.consumers.queryTopicConsumeByWho("U")).toEqual([]);
    clients.heartbeat(heartbeat("a", {}, ["T"], 6), connection, 0, 479);
    expect(clients.consumers.findSubscriptionData("G", "T")?.subVersion).toBe(6);
  });

  test("the V2 heartbeat answers whether the subscription changed and keeps it when it is left out", () => {
    const { clients } = setUp();
    const connection = new FakeConnection();
    const full = { heartbeatFingerprint: 7 };
    const bare = { heartbeatFingerprint: 7, withoutSub: true };
    expect(clients.heartbeat(heartbeat("a", full), connection, 0, 479).subscriptionChanged).toBe(false);
    expect(clients.heartbeat(heartbeat("a", bare, []), connection, 0, 479).subscriptionChanged).toBe(false);
    expect(clients.consumers.findSubscriptionData("G", "T")).toBeDefined();
    expect(
      clients.heartbeat(heartbeat("a", { ...bare, heartbeatFingerprint: 8 }, []), connection, 0, 479),
    ).toMatchObject({ subscriptionChanged: true });
    clients.unregister(connection, "P", "G");
    expect(clients.heartbeat(heartbeat("a", { heartbeatFingerprint: 9 }), connection, 0, 479)).toMatchObject({
      subscriptionChanged: false,
    });
    expect(setUp().clients.heartbeat(heartbeat("a", bare, []), connection, 0, 479).subscriptionChanged).toBe(true);
  });

  test("says once when members subscribe differently", () => {
    const { clients, logger } = setUp();
    const [a, b] = [new FakeConnection(), new FakeConnection()];
    for (let round = 0; round < 3; round++) {
      clients.heartbeat(heartbeat("a", {}, ["T"]), a, 0, 479);
      clients.heartbeat(heartbeat("b", {}, ["U"]), b, 0, 479);
    }
    const lines = logger.find("warn", "subscribe differently");
    expect(lines.length).toBeLessThanOrEqual(2);
    expect(lines[0]?.fields).toMatchObject({ group: "G", one: "a", other: "b" });
  });

  test("says once when two connections use one client id", () => {
    const { clients, logger } = setUp();
    for (let i = 0; i < 3; i++) clients.heartbeat(heartbeat("same"), new FakeConnection(), 0, 479);
    expect(logger.find("warn", "same client id")).toHaveLength(1);
  });

  test("a client without a heartbeat for two minutes is dropped, its connection closed, the others told", async () => {
    const { clients, clock, logger } = setUp();
    const [silent, lively] = [new FakeConnection(), new FakeConnection()];
    clients.heartbeat(heartbeat("silent"), silent, 0, 479);
    clients.heartbeat(heartbeat("lively"), lively, 0, 479);
    await turn();
    clock.ms += 120_000;
    clients.heartbeat(heartbeat("lively"), lively, 0, 479);
    clients.scan();
    expect(silent.closed).toBe(false);
    clock.ms += 1;
    clients.scan();
    await turn();
    expect(silent.closedFor).toBe("no heartbeat");
    expect(clients.consumers.clientIds("G")).toEqual(["lively"]);
    expect(clients.producers.findChannel("silent")).toBeUndefined();
    expect(lively.oneways).toHaveLength(2);
    expect(logger.find("warn", "producer expired")).toHaveLength(1);
  });

  test("refuses a connection that brings too many groups", () => {
    const { clients } = setUp();
    const connection = new FakeConnection();
    const groups = (from: number) => ({
      consumerDataSet: [],
      producerDataSet: Array.from({ length: 4096 }, (_, i) => ({ groupName: `P${from + i}` })),
    });
    expect(clients.heartbeat(heartbeat("a", groups(0)), connection, 0, 479).refusal).toBeUndefined();
    clients.heartbeat(heartbeat("a", groups(4096)), connection, 0, 479);
    expect(clients.heartbeat(heartbeat("a"), connection, 0, 479).refusal).toContain("at most 4096 are taken");
    expect(clients.producers.groups.size).toBeLessThanOrEqual(2 * 4096);
  });
});

describe("queue locks", () => {
  const queue = (queueId: number) => ({ topic: "T", brokerName: "b", queueId });

  test("one owner at a time; refresh, unlock by the owner only, expiry after 60 s", () => {
    const { clients, clock } = setUp();
    const { locks } = clients;
    expect(locks.isLockAllExpired("G")).toBe(true);
    expect(locks.tryLockBatch("G", [queue(0), queue(1)], "a")).toEqual([queue(0), queue(1)]);
    expect(locks.tryLockBatch("G", [queue(0), queue(2)], "b")).toEqual([queue(2)]);
    expect(locks.isLockAllExpired("G")).toBe(false);
    locks.unlockBatch("G", [queue(0)], "b");
    expect(locks.tryLockBatch("G", [queue(0)], "b")).toEqual([]);
    clock.ms += 59_000;
    expect(locks.tryLockBatch("G", [queue(0)], "a")).toEqual([queue(0)]);
    clock.ms += 2_000;
    expect(locks.tryLockBatch("G", [queue(0), queue(1)], "b")).toEqual([queue(1)]);
    locks.unlockBatch("G", [queue(0)], "a");
    expect(locks.tryLockBatch("G", [queue(0)], "b")).toEqual([queue(0)]);
    clock.ms += 60_000;
    expect(locks.isLockAllExpired("G")).toBe(true);
  });

  test("locks of an owner whose connection is gone are free after seconds, not after a minute", () => {
    const { clients, clock } = setUp();
    const connection = new FakeConnection();
    clients.heartbeat(heartbeat("a"), connection, 0, 479);
    clients.locks.tryLockBatch("G", [queue(0)], "a");
    connection.closed = true;
    clients.connectionClosed(connection);
    expect(clients.locks.tryLockBatch("G", [queue(0)], "b")).toEqual([]);
    clock.ms += 5_000;
    expect(clients.locks.tryLockBatch("G", [queue(0)], "b")).toEqual([queue(0)]);
  });
});
