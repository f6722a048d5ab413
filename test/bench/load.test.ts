import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { exitCode } from "../../cmd/bench-run.ts";
import { ExitCode, MqError } from "../../lib/base/errors.ts";
import { Histogram } from "../../lib/bench/histogram.ts";
import { Bitmap, bitCount, either, firstBits, without } from "../../lib/bench/load/bitmap.ts";
import { sizesOfRange, sizesOfWeights } from "../../lib/bench/load/body-sizes.ts";
import { FrameReader } from "../../lib/bench/load/frame-reader.ts";
import { Ledger, mergeLedgers, verdict } from "../../lib/bench/load/ledger.ts";
import { Schedule } from "../../lib/bench/load/pace.ts";
import { bodyTemplate, PayloadView, stamp } from "../../lib/bench/load/payload.ts";
import { type LoadPlan, noChecks } from "../../lib/bench/load/plan.ts";
import { runLoad, sharesOf } from "../../lib/bench/load/run-load.ts";
import { Saturation } from "../../lib/bench/load/saturation.ts";
import { loadRecord } from "../../lib/bench/load/to-record.ts";
import { TempDir } from "../store/store-fixture.ts";
import { fakeBroker, type Mischief } from "./fake-broker.ts";
import { loadPlan as plan } from "./load-plan.ts";

async function ledgerOf(mischief: Mischief) {
  using broker = fakeBroker(mischief);
  const outcome = await runLoad(plan(broker.port, { count: 200 }));
  return verdict(outcome.ledger).ledger;
}

describe("the ledger names what a broker does to messages", () => {
  test("nothing", async () => {
    const clean = { lost: 0, duplicates: 0, corrupt: 0, reordered: 0, gaps: 0, unknownOk: 0, examples: [] };
    expect(await ledgerOf({})).toEqual({ acked: 200, received: 200, ...clean });
  });

  test("one acknowledged and dropped", async () => {
    const ledger = await ledgerOf({ drop: 77 });
    expect(ledger).toMatchObject({ acked: 200, received: 199, lost: 1, examples: ["lost: message 0/77"] });
  });

  test("one delivered twice", async () => {
    const ledger = await ledgerOf({ duplicate: 5 });
    expect(ledger).toMatchObject({ received: 200, lost: 0, duplicates: 1 });
    expect(ledger.examples).toEqual(["duplicate: message 0/5 again at offset 6 of b/0"]);
  });

  test("one corrupt", async () => {
    const ledger = await ledgerOf({ corrupt: 9 });
    expect(ledger).toMatchObject({ corrupt: 1, lost: 1 });
    expect(ledger.examples).toEqual(["lost: message 0/9", "corrupt: message at offset 9 of b/0: its CRC differs"]);
  });

  test("one corrupt among compressed ones", async () => {
    using broker = fakeBroker({ corrupt: 9 });
    const compress = { type: "ZLIB", level: 5, overBytes: 1 } as const;
    const { ledger } = verdict((await runLoad(plan(broker.port, { count: 200, compress }))).ledger);
    expect(ledger).toMatchObject({ acked: 200, received: 199, corrupt: 1, lost: 1 });
    expect(ledger.examples).toContain("corrupt: message at offset 9 of b/0: its body does not decompress");
  });

  test("one of another producer that does not decompress is foreign, not corrupt", async () => {
    using broker = fakeBroker({ foreign: 9 });
    const compress = { type: "ZLIB", level: 5, overBytes: 1 } as const;
    const { ledger } = verdict((await runLoad(plan(broker.port, { count: 200, compress }))).ledger);
    expect(ledger).toMatchObject({ received: 199, corrupt: 0, lost: 1 });
    const consumer = plan(broker.port, { producers: 0, count: 200 });
    expect(verdict((await runLoad(consumer)).ledger).ledger).toMatchObject({ corrupt: 0 });
  });

  test("one corrupt, for who only receives what another load sent", async () => {
    using broker = fakeBroker({ corrupt: 9 });
    await runLoad(plan(broker.port, { count: 200, consumers: 0, run: 8 }));
    const load = plan(broker.port, { count: 200, producers: 0 });
    const about = { work: "w", verb: "consume", startedAt: 0, resources: [], sameHost: true };
    const run = loadRecord(load, await runLoad(load), about);
    expect(run.ledger).toMatchObject({ received: 200, corrupt: 1, lost: 0, duplicates: 0 });
    expect(run.latencies.e2e!.count).toBe(199);
    expect(exitCode(run, [], false)).toBe(3);
  });

  test("two that changed places", async () => {
    const ledger = await ledgerOf({ swap: 30 });
    expect(ledger).toMatchObject({ received: 200, lost: 0, reordered: 1 });
    expect(ledger.examples).toEqual(["reordered: message 0/30 behind 0/31 in b/0"]);
  });
});

test("with an interval a request takes the place of an answered one only behind it, and all are sent", async () => {
  using broker = fakeBroker({});
  const began = performance.now();
  const outcome = await runLoad(plan(broker.port, { count: 12, inFlight: 2, sendIntervalMs: 50 }));
  // Two at once, then two at a time: five intervals at the least, however slow the machine.
  expect(performance.now() - began).toBeGreaterThanOrEqual(5 * 50 - 5);
  expect(verdict(outcome.ledger).ledger).toMatchObject({ acked: 12, received: 12, lost: 0 });
});

test("many that are reordered do not hide the one that is lost, nor the one that is corrupt", () => {
  const ledger = new Ledger();
  for (let i = 0; i < 100; i++) ledger.acked(0, i);
  for (let i = 99; i > 0; i--) ledger.received(0, i, "q", 99 - i);
  ledger.corrupt("message at offset 7 of q: its CRC differs");
  for (const part of [ledger.part(), mergeLedgers([ledger.part(), new Ledger().part()])]) {
    const { examples, lost, corrupt, reordered } = verdict(part).ledger;
    expect([lost, corrupt, reordered, examples.length]).toEqual([1, 1, 98, 10]);
    expect(examples.slice(0, 2)).toEqual(["lost: message 0/0", "corrupt: message at offset 7 of q: its CRC differs"]);
  }
});

describe("what is no fault of the messages", () => {
  test("an offset left out is a gap, and nothing is lost", async () => {
    const ledger = await ledgerOf({ skip: 100 });
    expect(ledger).toMatchObject({ acked: 200, received: 200, lost: 0, gaps: 1 });
    expect(ledger.examples).toEqual(["gap: b/0 goes from offset 99 to 101"]);
  });

  test("one refused is neither acknowledged nor lost, and its code is counted", async () => {
    using broker = fakeBroker({ busy: 9 });
    const outcome = await runLoad(plan(broker.port, { count: 200 }));
    expect(outcome.errors).toEqual({ "SYSTEM_BUSY (2)": 1 });
    expect(verdict(outcome.ledger).ledger).toMatchObject({ acked: 199, received: 199, lost: 0, unknownOk: 0 });
  });

  test("one refused that comes all the same is UNKNOWN-OK", async () => {
    expect(await ledgerOf({ lie: 9 })).toMatchObject({ acked: 199, received: 200, lost: 0, unknownOk: 1 });
  });
});

describe("what a run is to be doubted for", () => {
  const flagsOf = async (changes: Partial<LoadPlan>, mischief: Mischief = {}) => {
    using broker = fakeBroker(mischief);
    const load = plan(broker.port, { consumers: 0, ...changes });
    const outcome = await runLoad(load);
    const run = loadRecord(load, outcome, { work: "w", verb: "produce", startedAt: 0, resources: [], sameHost: true });
    // How busy this machine is with other tests is not what is tested.
    return run.flags.map(({ id }) => id).filter((id) => id !== "CLIENT-BOUND");
  };

  test("a rate that is not reached", async () => {
    expect(await flagsOf({ rate: 1000, seconds: 1 }, { stall: { after: 100, ms: 1500 } })).toContain("SATURATED");
  });

  test("a short run on one machine", async () => {
    expect(await flagsOf({ seconds: 1 })).toEqual(["SAME-HOST", "SHORT-RUN"]);
  });

  test("a count says itself how long it takes", async () => {
    expect(await flagsOf({ count: 50 })).toEqual(["SAME-HOST"]);
  });
});

test("a loop that is late is CLIENT-BOUND only where that is a good part of what was measured", () => {
  const flags = (responseUs: number) => {
    const response = new Histogram();
    for (let i = 0; i < 5000; i++) response.record(responseUs);
    const second = {
      second: 10,
      counts: { sent: 5000, acked: 5000, failed: 0, received: 0, bytesSent: 0, bytesReceived: 0 },
      latencies: { response: response.snapshot() },
      inFlight: 0,
      cpu: 0.5,
      loopDelayMs: 8,
    };
    const outcome = {
      seconds: [second],
      errors: {},
      ledger: new Ledger().part(),
      drainSeconds: undefined,
      unreached: [],
      cutShort: false,
      checks: noChecks(),
      clocks: [],
      retried: 0,
      workers: 1,
    };
    const load = plan(1, { rate: 500, seconds: 10, consumers: 0 });
    const about = { work: "w", verb: "produce", startedAt: 0, resources: [], sameHost: false };
    return loadRecord(load, outcome, about).flags.map(({ id }) => id);
  };
  expect(flags(200_000)).toEqual([]);
  expect(flags(10_000)).toEqual(["CLIENT-BOUND"]);
});

test("a load is behind for good after five seconds below its rate, the ramp not counted", () => {
  const reached = (load: Partial<LoadPlan>, ...acked: number[]) => {
    const saturation = new Saturation(plan(1, load));
    return acked.map((count) => {
      saturation.add(count);
      return saturation.reached;
    });
  };
  expect(reached({ rate: 100 }, 90, 90, 90, 90, 90)).toEqual([false, false, false, false, true]);
  expect(reached({ rate: 100 }, 90, 90, 90, 90, 99, 90)).not.toContain(true);
  expect(reached({ rate: 100, rampSeconds: 3, warmupSeconds: 1 }, 9, 9, 9, 9, 9, 9)).not.toContain(true);
  expect(reached({}, 0, 0, 0, 0, 0, 0)).not.toContain(true);
});

test("sizes of bodies: a range evenly, weights as often as they say, small and large ones mixed", () => {
  const range = sizesOfRange(100, 410);
  expect([range.length, Math.min(...range), Math.max(...range)]).toEqual([32, 100, 410]);
  expect(new Set(range).size).toBe(32);
  expect(range).not.toEqual([...range].sort((a, b) => a - b));
  expect(sizesOfRange(5, 6).sort()).toEqual([5, 6]);
  const weighted = sizesOfWeights([
    [10, 75],
    [1000, 25],
  ]);
  expect(weighted.filter((size) => size === 10)).toHaveLength(24);
  expect(weighted.filter((size) => size === 1000)).toHaveLength(8);
});

test("a count is kept to the message, over any number of connections", async () => {
  for (const producers of [1, 3, 7]) {
    using broker = fakeBroker();
    const outcome = await runLoad(plan(broker.port, { producers, count: 101 }));
    expect(verdict(outcome.ledger).ledger).toMatchObject({ acked: 101, received: 101, lost: 0 });
  }
});

describe("a broker that stands still for a second", () => {
  const stall = { after: 300, ms: 1000 };

  test("at a rate is seen by every message that should have left meanwhile", async () => {
    using broker = fakeBroker({ stall });
    const load = plan(broker.port, { rate: 1000, seconds: 2, consumers: 0 });
    const outcome = await runLoad(load);
    const response = new Histogram();
    for (const { latencies } of outcome.seconds) if (latencies.response) response.merge(latencies.response);
    let slow = 0;
    response.forEach((index, count) => {
      if (index > 3000) slow += count;
    });
    // About a thousand are due while it stands; those of its last moments wait shortly only.
    expect(slow).toBeGreaterThan(800);
    expect(response.max).toBeGreaterThan(900_000);
    expect(response.percentile(0.5)).toBeGreaterThan(1000);
  });

  test("without one is seen by those in flight only, and the table says so", async () => {
    using broker = fakeBroker({ stall });
    const load = plan(broker.port, { count: 3000, inFlight: 1, consumers: 0 });
    const outcome = await runLoad(load);
    const run = loadRecord(load, outcome, { work: "w", verb: "produce", startedAt: 0, resources: [], sameHost: false });
    expect(run.loop).toBe("closed");
    const service = new Histogram();
    for (const { latencies } of outcome.seconds) if (latencies.service) service.merge(latencies.service);
    let slow = 0;
    service.forEach((index, count) => {
      if (index > 8000) slow += count;
    });
    expect(slow).toBeGreaterThanOrEqual(1);
    expect(slow).toBeLessThan(50);
  });
});

test("a broker that is gone ends the load with the reason", async () => {
  const { port } = fakeBroker();
  const gone = fakeBroker();
  gone[Symbol.dispose]();
  expect(runLoad(plan(gone.port, { count: 10 }))).rejects.toThrow();
  expect((await runLoad(plan(port, { count: 10, drainMs: 2000 }))).drainSeconds).toBeNumber();
});

test("a connection that is cut is opened again: nothing is lost, and what had no answer is told", async () => {
  for (const load of [{ count: 400 }, { count: 400, rate: 2000 }]) {
    using broker = fakeBroker({ hangUp: 100 });
    const notes: string[] = [];
    const outcome = await runLoad(plan(broker.port, { ...load, drainMs: 5000 }), {
      onSecond: (second) => notes.push(...(second.notes ?? [])),
    });
    const { ledger } = verdict(outcome.ledger);
    expect(ledger).toMatchObject({ lost: 0, duplicates: 0, reordered: 0, corrupt: 0 });
    expect(ledger.acked).toBeGreaterThan(300);
    expect(ledger.unknownOk).toBeGreaterThan(0);
    expect(outcome.errors).toEqual({ "producer: connection closed": 1, "consumer: connection closed": 1 });
    expect(notes[0]).toBe(`127.0.0.1:${broker.port}: connection closed; trying again`);
    expect(outcome.unreached).toEqual([]);
  }
});

test("of messages that a broker took with it nobody says that they are lost", async () => {
  using broker = fakeBroker({ leave: 300, stall: { after: 250, ms: 50 } });
  const load = plan(broker.port, { rate: 1000, seconds: 1 });
  const outcome = await runLoad(load);
  const about = { work: "w", verb: "e2e", startedAt: 0, resources: [], sameHost: false };
  const run = loadRecord(load, outcome, about);
  expect(run.flags[0]).toEqual({ id: "UNREACHED", text: `gone at the end: 127.0.0.1:${broker.port}` });
  expect(run.ledger?.lost).toBe(0);
  expect((run.ledger?.received ?? 0) + (run.ledger?.unreached ?? 0)).toBeGreaterThanOrEqual(run.ledger?.acked ?? 0);
  expect(exitCode(run, [], false)).toBe(1);
});

describe("a thread that ends without its outcome", () => {
  const worker = join(import.meta.dir, "..", "..", "lib", "bench", "load", "load-worker.ts");

  /** Runs a load on two threads, whose entry does `more` on the second one. */
  async function failureOf(more: string) {
    using dir = new TempDir();
    using broker = fakeBroker();
    const entry = join(dir.path, "entry.ts");
    const lines = [
      'import { workerData } from "node:worker_threads";',
      `import { runLoadWorker } from ${JSON.stringify(worker)};`,
      "runLoadWorker();",
      `if (workerData.share.firstProducer > 0) ${more}`,
    ];
    await Bun.write(entry, lines.join("\n"));
    const load = plan(broker.port, { producers: 2, consumers: 2, rate: 500 });
    const error = await runLoad(load, { workers: 2, workerEntry: entry }).catch((found: unknown) => found);
    const { came } = broker;
    await Bun.sleep(300);
    expect([came > 0, broker.came]).toEqual([true, came]);
    expect(error instanceof MqError && error.exitCode).toBe(ExitCode.failure);
    return String(error);
  }

  test("is a failure that names it, and the other one sends no more", async () => {
    expect(await failureOf("setTimeout(() => process.exit(3), 300);")).toBe(
      "MqError: thread 2 of 2 of the load ended without its outcome: its exit code is 3",
    );
    expect(await failureOf('setTimeout(() => { throw new Error("no more memory"); }, 300);')).toBe(
      "MqError: thread 2 of 2 of the load: no more memory",
    );
  }, 20_000);

  test("is told of in time though another one does not end", async () => {
    const began = performance.now();
    const busy = "setTimeout(() => Bun.sleepSync(30_000), 100);";
    const said = await failureOf(`setTimeout(() => process.exit(0), 300); else ${busy}`);
    expect(said).toMatch(
      /^MqError: thread 2 of 2 of the load ended without its outcome: its exit code is 0; another thread has not ended/,
    );
    expect(performance.now() - began).toBeLessThan(10_000);
  }, 20_000);
});

test("shares cover producers, queues, rate and count", () => {
  const queues = Array.from({ length: 8 }, (_, queueId) => ({
    brokerName: "b",
    host: "h",
    port: 1,
    queueId,
    offset: 0,
  }));
  const shares = sharesOf(plan(1, { producers: 5, consumers: 2, queues, rate: 1000, count: 500 }), 2);
  expect(shares.map(({ firstProducer, producers }) => [firstProducer, producers])).toEqual([
    [0, 3],
    [3, 2],
  ]);
  expect(shares.reduce((sum, { rate }) => sum + (rate ?? 0), 0)).toBeCloseTo(1000);
  expect(shares.reduce((sum, { count }) => sum + (count ?? 0), 0)).toBe(500);
  expect(shares.flatMap((share) => share.queues.map(({ queueId }) => queueId)).sort()).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7,
  ]);
});

test("a body tells run, producer, number and times; a turned bit is seen", () => {
  const body = bodyTemplate(200, Buffer.from("ab"), 0xfedc_ba98, 3);
  stamp(body, 0, body.length, 5_000_000_001, 1_790_000_000_000_123, 1_790_000_000_000_456);
  const view = new PayloadView();
  expect(view.read(body, 0, body.length)).toBe(true);
  expect(view).toMatchObject({ run: 0xfedc_ba98, producer: 3, sequence: 5_000_000_001, intact: true });
  expect([view.intended, view.sent]).toEqual([1_790_000_000_000_123, 1_790_000_000_000_456]);
  body[150]! ^= 4;
  view.read(body, 0, body.length);
  expect(view.intact).toBe(false);
  expect(view.read(Buffer.alloc(100), 0, 100)).toBe(false);
});

test("due times: uniform keeps the step, Poisson its mean, a ramp begins slower", () => {
  const times = (schedule: Schedule, count: number) => {
    const all: number[] = [];
    for (let i = 0; i < count; i++) {
      all.push(schedule.nextMs);
      schedule.advance();
    }
    return all;
  };
  expect(times(new Schedule(100, false, 0, 1), 4)).toEqual([0, 10, 20, 30]);
  const poisson = times(new Schedule(1000, true, 0, 3), 20_001);
  expect(poisson.at(-1)! / 20_000).toBeCloseTo(1, 1);
  expect(times(new Schedule(100, false, 10, 1), 3)).toEqual([0, 100, 200]);
});

test("sets of numbers", () => {
  const set = new Bitmap();
  for (const value of [0, 31, 32, 1_000_000]) expect(set.add(value)).toBe(true);
  expect(set.add(31)).toBe(false);
  expect([set.has(1_000_000), set.has(5)]).toEqual([true, false]);
  expect(bitCount(set.words)).toBe(4);
  const other = new Bitmap();
  other.add(31);
  expect(firstBits(without(set.words, other.words), 2)).toEqual([0, 32]);
  expect(bitCount(either(set.words, other.words))).toBe(4);
});

test("frames are cut the same however they come", () => {
  const frame = (body: number) => {
    const bytes = Buffer.alloc(8 + 5 + body, 1);
    bytes.writeInt32BE(bytes.length - 4, 0);
    bytes.writeInt32BE(5, 4);
    return bytes;
  };
  const all = Buffer.concat([frame(0), frame(70), frame(3)]);
  for (let step = 1; step < all.length; step++) {
    const found: number[] = [];
    const reader = new FrameReader((_, __, headerEnd, end) => found.push(end - headerEnd));
    for (let at = 0; at < all.length; at += step) reader.push(all.subarray(at, at + step));
    expect(found).toEqual([0, 70, 3]);
  }
  expect(() => new FrameReader(() => {}).push(Buffer.from([0, 0, 0, 1]))).toThrow("frame of 5 bytes");
});
