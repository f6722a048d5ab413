import type { Credentials } from "../../client/credentials.ts";
import type { HistogramSnapshot } from "../histogram.ts";
import type { ClientUse } from "../resources/client-meter.ts";
import type { HeaderEncoding } from "./frames.ts";

/** A topic and one of its queues. */
export interface QueueTarget {
  topic: string;
  queueId: number;
}

/**
 * A load of frames made before it begins: the least work a generator can have per message, for comparing brokers by
 * their speed. Nothing is checked but the answers' codes.
 */
export interface RawPlan {
  host: string;
  port: number;
  /** `pull` reads what is there, `poll` waits at the end of every queue, each connection for a group of its own. */
  kind: "send" | "batch" | "pull" | "poll";
  /** Requests go to these in turn; a pull connection reads its share of them from the first offset on, again and again. */
  queues: readonly QueueTarget[];
  connections: number;
  /** Requests that wait for an answer on each connection. */
  inFlight: number;
  bodyBytes: number;
  /** Messages per request of `batch`; most messages per answer of `pull`. */
  batch: number;
  header: HeaderEncoding;
  /** Of pulls: the connection's number is added. */
  group: string;
  /** Messages a second over all connections, sent when they are due whatever is answered; undefined: as fast as answers come. */
  rate?: number | undefined;
  warmupSeconds: number;
  seconds: number;
  /** Beginning of the message ids, hex. */
  run: string;
  /** Every request is signed with these. */
  credentials?: Credentials | undefined;
}

/** What one thread does of a plan. */
export interface RawShare {
  plan: RawPlan;
  /** Number of its first connection, and how many it has. */
  firstConnection: number;
  connections: number;
  /** Its part of `plan.rate`. */
  rate: number | undefined;
}

/** What happened in one interval. */
export interface RawCounts {
  sent: number;
  acked: number;
  failed: number;
  received: number;
  bytesSent: number;
  bytesReceived: number;
}

export function noCounts(): RawCounts {
  return { sent: 0, acked: 0, failed: 0, received: 0, bytesSent: 0, bytesReceived: 0 };
}

/** A measured interval of one worker; latencies from the sending, with a rate from the intended time. */
export interface RawSecond {
  /** Seconds since the measurement began, at the interval's end. */
  second: number;
  counts: RawCounts;
  latencies: HistogramSnapshot;
  client: ClientUse;
}

/** How a load ended. */
export interface RawOutcome {
  seconds: RawSecond[];
  /** Response code or what broke, and how often. */
  errors: Record<string, number>;
  workers: number;
}
