import type { QueueTarget, RawPlan } from "../raw/plan.ts";

/** A load that clusters are compared with. Flush and replication are the brokers' settings, not the load's. */
export interface Work {
  name: string;
  about: string;
  plan: Pick<RawPlan, "kind" | "connections" | "inFlight" | "bodyBytes" | "batch" | "header"> & { rate?: number };
  topics: number;
  queuesPerTopic: number;
  /** Messages that are sent before the first turn, for reading. */
  fill?: number;
  /** Consumer groups that wait at the end of a second topic's queues meanwhile, and messages a second sent there. */
  pollers?: { groups: number; rate: number };
}

const QUEUES = 8;
const KIB = 1024;

const send = { kind: "send", connections: 4, inFlight: 64, bodyBytes: KIB, batch: 1, header: "rocketmq" } as const;

export const WORKS: readonly Work[] = [
  {
    name: "send",
    about: "sends of 1 KiB, 4 connections x 64 in flight",
    plan: send,
    topics: 1,
    queuesPerTopic: QUEUES,
  },
  {
    name: "send-128",
    about: "the same with 128 B",
    plan: { ...send, bodyBytes: 128 },
    topics: 1,
    queuesPerTopic: QUEUES,
  },
  {
    name: "send-json",
    about: "the same with JSON headers, 1 KiB",
    plan: { ...send, header: "json" },
    topics: 1,
    queuesPerTopic: QUEUES,
  },
  {
    name: "send-1",
    about: "sends of 1 KiB, one at a time",
    plan: { ...send, connections: 1, inFlight: 1 },
    topics: 1,
    queuesPerTopic: QUEUES,
  },
  {
    name: "batch-32",
    about: "batches of 32 messages of 1 KiB, 4 connections x 16 in flight",
    plan: { ...send, kind: "batch", inFlight: 16, batch: 32 },
    topics: 1,
    queuesPerTopic: QUEUES,
  },
  {
    name: "catch-up",
    about: "reading 1 KiB messages that are there, 4 connections, 32 a pull",
    plan: { ...send, kind: "pull", inFlight: 1, batch: 32 },
    topics: 1,
    queuesPerTopic: QUEUES,
    fill: 400_000,
  },
  {
    name: "rate-20k",
    about: "20,000 sends of 1 KiB a second, latency from the intended time",
    plan: { ...send, rate: 20_000 },
    topics: 1,
    queuesPerTopic: QUEUES,
  },
  {
    name: "topics-1000",
    about: "as send, over 1,000 topics of 8 queues",
    plan: send,
    topics: 1000,
    queuesPerTopic: QUEUES,
  },
  { name: "queues-500", about: "as send, over 500 queues of one topic", plan: send, topics: 1, queuesPerTopic: 500 },
  {
    name: "groups-50",
    about: "as send, while 50 groups wait at 8 queues of another topic that gets 100 messages a second",
    plan: send,
    topics: 1,
    queuesPerTopic: QUEUES,
    pollers: { groups: 50, rate: 100 },
  },
];

/** Works that `mq bench versus` does when none are named: those that end in a few minutes and need nothing special. */
export const DEFAULT_WORKS = ["send", "send-128", "send-json", "send-1", "batch-32", "catch-up"] as const;

export function topicNames(work: Work, prefix: string): string[] {
  return Array.from({ length: work.topics }, (_, i) => `${prefix}-${work.name}${work.topics > 1 ? `-${i}` : ""}`);
}

/** All queues of the work's topics; topics in turn, so that neighbours in the list are different topics. */
export function workQueues(work: Work, prefix: string): QueueTarget[] {
  const topics = topicNames(work, prefix);
  return Array.from({ length: work.queuesPerTopic }, (_, queueId) =>
    topics.map((topic) => ({ topic, queueId })),
  ).flat();
}
