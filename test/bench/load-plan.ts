import type { LoadPlan } from "../../lib/bench/load/plan.ts";

/** A load of one producer and one consumer on one queue of a broker at `port`. */
export function loadPlan(port: number, changes: Partial<LoadPlan> = {}): LoadPlan {
  return {
    topic: "T",
    queues: [{ brokerName: "b", host: "127.0.0.1", port, queueId: 0, offset: 0 }],
    kind: "plain",
    producers: 1,
    consumers: 1,
    inFlight: 8,
    arrival: "uniform",
    rampSeconds: 0,
    bodyBytes: 100,
    payload: new Uint8Array(),
    batch: 1,
    header: "rocketmq",
    tags: "",
    tagCount: 0,
    properties: [],
    keyCardinality: 0,
    delayLevel: 0,
    delayMs: 0,
    rollbackRate: 0,
    expressionType: "TAG",
    expression: "*",
    group: "g",
    groups: 1,
    consumeDelayMs: 0,
    failRate: 0,
    pullBatch: 32,
    warmupSeconds: 0,
    seconds: 60,
    drainMs: 300,
    run: 7,
    ...changes,
  };
}
