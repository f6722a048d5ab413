import { seededRandom } from "../../lib/bench/compare/statistics.ts";
import { encodeBase64 } from "../../lib/bench/hdr/encoding.ts";
import { Histogram } from "../../lib/bench/histogram.ts";
import { type BenchResult, latencyRecord, RESULT_SCHEMA, type RunRecord } from "../../lib/bench/result.ts";

/** A run as a load of `rate` messages a second for `seconds` would leave it, its service time around `us`. */
export function syntheticRun(given: {
  rate: number;
  us: number;
  seconds?: number;
  seed?: number;
  work?: string;
  target?: string;
  round?: number;
}): RunRecord {
  const random = seededRandom(given.seed ?? 1);
  const seconds = given.seconds ?? 30;
  const whole = new Histogram();
  const samples: RunRecord["samples"] = [];
  let sent = 0;
  for (let second = 1; second <= seconds; second++) {
    const own = new Histogram();
    const count = Math.round(given.rate * (0.95 + 0.1 * random()));
    for (let i = 0; i < 200; i++) own.record(given.us * (0.5 + random() + (random() > 0.98 ? 5 * random() : 0)));
    whole.merge(own);
    sent += count;
    samples.push({
      second,
      sent: count,
      acked: count,
      failed: 0,
      received: 0,
      bytesSent: count * 1024,
      bytesReceived: 0,
      latencies: { service: encodeBase64(own) },
      clientCpu: 0.4,
      clientLoopDelayP99Ms: 1.2,
      machineCpu: 0.6,
      processes: {
        "broker-a": {
          cpu: 0.8,
          rssBytes: 2e8,
          anonymousBytes: 4e7,
          readBytesPerSecond: 0,
          writtenBytesPerSecond: count * 1100,
        },
      },
    });
  }
  return {
    work: given.work ?? "produce",
    target: given.target ?? "",
    round: given.round ?? 0,
    verb: "produce",
    loop: "closed",
    options: { size: 1024, connections: 4, inFlight: 64 },
    startedAt: Date.UTC(2026, 0, 2),
    warmupSeconds: 2,
    seconds,
    counts: { sent, acked: sent, failed: 0, received: 0, bytesSent: sent * 1024, bytesReceived: 0 },
    latencies: { service: latencyRecord(whole) },
    errors: [],
    ledger: {
      acked: sent,
      received: sent,
      lost: 0,
      duplicates: 0,
      unknownOk: 0,
      corrupt: 0,
      reordered: 0,
      gaps: 0,
      examples: [],
    },
    samples,
    client: { cpu: 0.41, loopDelayP99Ms: 1.2, workers: 1 },
    flags: [{ id: "SAME-HOST", text: "client and broker share this machine" }],
  };
}

export function syntheticResult(runs: RunRecord[], change: Partial<BenchResult> = {}): BenchResult {
  return {
    schema: RESULT_SCHEMA,
    mq: "0.1.0",
    command: "mq bench produce",
    startedAt: Date.UTC(2026, 0, 2),
    machine: { hostname: "one", kernel: "Linux 6.1", cpu: "EPYC", cores: 4, memoryBytes: 16e9 },
    brokers: [
      {
        target: "",
        brokerName: "broker-a",
        cluster: "DefaultCluster",
        brokerId: 0,
        address: "127.0.0.1:10911",
        config: { flushDiskType: "ASYNC_FLUSH", brokerRole: "ASYNC_MASTER" },
      },
    ],
    runs,
    ...change,
  };
}
