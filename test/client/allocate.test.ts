import { describe, expect, test } from "bun:test";
import {
  type AllocateStrategy,
  allocateStrategy,
  byConfig,
  machineRoomNearby,
} from "../../lib/client/consumer/allocate.ts";
import type { MessageQueue } from "../../lib/client/message-queue.ts";
import golden from "../golden/client-5.3.3.json";

/** Results that RocketMQ's own classes computed; see the file's `from`. */
const vectors = golden.allocations as {
  strategy: string;
  clients: string[];
  queues: string[];
  result: Record<string, string[] | string>;
}[];

const roomBeforeDash = {
  brokerDeployIn: (queue: MessageQueue) => queue.brokerName.split("@")[0] ?? "",
  consumerDeployIn: (clientId: string) => clientId.split("-")[0] ?? "",
};

function parse(text: string): MessageQueue {
  const colon = text.lastIndexOf(":");
  return { topic: "Topic-T", brokerName: text.slice(0, colon), queueId: Number(text.slice(colon + 1)) };
}

function text({ brokerName, queueId }: MessageQueue): string {
  return `${brokerName}:${queueId}`;
}

function strategyOf(name: string): AllocateStrategy {
  return allocateStrategy(name, { machineRooms: ["room1"], machineRoomResolver: roomBeforeDash });
}

describe("allocation equals Java's", () => {
  for (const name of new Set(vectors.map(({ strategy }) => strategy))) {
    test(name, () => {
      const strategy = strategyOf(name);
      expect(strategy.name).toBe(name);
      for (const { clients, queues, result } of vectors.filter((vector) => vector.strategy === name)) {
        const all = queues.map(parse);
        for (const [client, expected] of Object.entries(result)) {
          expect({ client, clients, queues: strategy.allocate(client, all, clients).map(text) }).toEqual({
            client,
            clients,
            queues: expected as string[],
          });
        }
      }
    });
  }
});

describe("allocation", () => {
  test("every queue has exactly one owner", () => {
    for (const name of ["AVG", "AVG_BY_CIRCLE", "CONSISTENT_HASH"]) {
      const queues = Array.from({ length: 13 }, (_, queueId) => ({ topic: "T", brokerName: "b", queueId }));
      const clients = ["a", "b", "c", "d", "e"];
      const owned = clients.flatMap((client) => strategyOf(name).allocate(client, queues, clients).map(text));
      expect(owned.sort()).toEqual(queues.map(text).sort());
    }
  });

  test("CONFIG gives its list to whoever asks, and shares a topic that is not in it", () => {
    const fixed = [parse("b:1"), parse("b:2")];
    const all = [parse("b:0"), ...fixed];
    expect(byConfig(fixed).allocate("c1", all, ["c1", "c2"])).toEqual(fixed);
    const retry = [0, 1].map((queueId) => ({ topic: "%RETRY%g", brokerName: "b", queueId }));
    expect(byConfig(fixed).allocate("c2", retry, ["c1", "c2"])).toEqual(retry.slice(1));
  });

  test("MACHINE_ROOM without rooms and CONFIG without queues are refused", () => {
    expect(() => allocateStrategy("MACHINE_ROOM")).toThrow("MACHINE_ROOM wants rooms");
    expect(() => allocateStrategy("CONFIG")).toThrow("CONFIG wants queues");
  });

  test("a room nobody consumes in is shared", () => {
    const strategy = machineRoomNearby(strategyOf("AVG"), roomBeforeDash);
    const queues = [parse("far@x:0"), parse("far@x:1")];
    expect(strategy.allocate("near-1", queues, ["near-1", "near-2"])).toEqual([parse("far@x:0")]);
  });

  test("an unknown name is refused with the known ones", () => {
    expect(() => allocateStrategy("AVERAGE")).toThrow(/"AVERAGE" is not one of AVG, AVG_BY_CIRCLE/);
  });
});
