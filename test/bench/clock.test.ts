import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeBrokers } from "../../lib/bench/cluster-facts.ts";
import {
  ClockBounds,
  ClockCorrection,
  type ClockReading,
  type ClockStamp,
  mergeSeenClocks,
  movedUs,
  type OwnClock,
  readClockStamp,
  writeClockStamp,
} from "../../lib/bench/load/clock.ts";
import { ClockProbe } from "../../lib/bench/load/clock-probe.ts";
import { ClockWatch } from "../../lib/bench/load/clock-watch.ts";
import { epochMicros } from "../../lib/bench/load/payload.ts";
import { clockLines } from "../../lib/bench/report/clock-lines.ts";
import { type ClockRecord, readResult } from "../../lib/bench/result.ts";
import { type Cluster, startOwnCluster } from "../support/cluster.ts";
import { readUntil, runMq, spawnMq } from "../support/run-mq.ts";

const EPOCH_US = 1_790_000_000_000_000;

/** Bounds from `probes` messages of a clock that is `aheadUs` ahead; a request takes 50 to 250 us each way. */
function bounds(aheadUs: number, probes: number, seed: number): ClockBounds {
  const found = new ClockBounds();
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  let trueUs = EPOCH_US;
  for (let i = 0; i < probes; i++) {
    const sentUs = trueUs + aheadUs;
    trueUs += 50 + random() * 200;
    const storedMs = Math.floor(trueUs / 1000);
    trueUs += 50 + random() * 200;
    found.add(sentUs, trueUs + aheadUs, storedMs);
  }
  return found;
}

describe("the estimate of a clock", () => {
  test("holds the true difference, whatever it is, and is much finer than the broker's milliseconds", () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    for (const aheadUs of [0, 1, -1, 450, -450, 1300, -77_123, 3_600_000_000, -86_400_000_000])
      for (let n = 0; n < 50; n++) {
        const reading = bounds(aheadUs, 32, seed + n).reading;
        const off = Math.abs(reading!.aheadUs - aheadUs);
        expect([aheadUs, seed + n, off <= reading!.errorUs + 1]).toEqual([aheadUs, seed + n, true]);
        expect(reading!.errorUs).toBeLessThan(400);
      }
  });

  test("without a message, or when a clock is set in between, there is none", () => {
    expect(new ClockBounds().reading).toBeUndefined();
    const found = bounds(0, 5, 1);
    found.add(EPOCH_US + 50_000, EPOCH_US + 50_200, EPOCH_US / 1000);
    expect(found.reading).toBeUndefined();
  });

  test("has moved only when both readings say so", () => {
    const at = (aheadUs: number): ClockReading => ({ aheadUs, errorUs: 100 });
    expect([movedUs(at(0), at(200)), movedUs(at(0), at(201)), movedUs(at(500), at(0))]).toEqual([0, 201, -500]);
  });
});

const own = (aheadUs: number, reference = "broker-a"): OwnClock => ({
  reference,
  reading: { aheadUs, errorUs: 100 },
});

/** What a producer with such a clock writes, as a consumer reads it. */
function stamped(clock: OwnClock): ClockStamp {
  const bytes = Buffer.alloc(8);
  writeClockStamp(bytes, 0, clock);
  const stamp: ClockStamp = { aheadUs: -1, errorUs: -1, reference: -1 };
  readClockStamp(bytes, 0, stamp);
  return stamp;
}

describe("what a producer tells", () => {
  test("is read back, its error never smaller", () => {
    for (const aheadUs of [0, 1234, -1234, 400_000_000_000, -400_000_000_000])
      expect(stamped(own(aheadUs))).toMatchObject({ aheadUs, errorUs: 110 });
    const nothing = { aheadUs: 0, errorUs: 0, reference: 0 };
    for (const clock of [own(1e15), { reference: "broker-a", reading: undefined }])
      expect(stamped(clock)).toEqual(nothing);
    expect(stamped({ reference: "broker-a", reading: { aheadUs: 5, errorUs: 1e6 } })).toEqual(nothing);
  });

  test("corrects what is beyond the error, of the same reference", () => {
    const correction = new ClockCorrection(own(-100));
    expect(correction.correctionUs(stamped(own(1300)))).toBe(1400);
    expect(correction.correctionUs(stamped(own(1300)))).toBe(1400);
    expect(correction.correctionUs(stamped(own(50)))).toBe(0);
    expect(correction.correctionUs(stamped(own(1300, "broker-b")))).toBe(0);
    expect(correction.correctionUs({ aheadUs: 0, errorUs: 0, reference: 0 })).toBe(0);
    expect(correction.correctionUs(stamped(own(1300)))).toBe(1400);
    expect(mergeSeenClocks([...correction.seen, ...correction.seen])).toEqual([
      { reading: { aheadUs: 1300, errorUs: 110 }, correctionUs: 1400, messages: 6 },
      { reading: { aheadUs: 50, errorUs: 110 }, correctionUs: 0, messages: 2 },
      { reading: undefined, correctionUs: 0, messages: 4 },
    ]);
    const blind = new ClockCorrection({ reference: "broker-a", reading: undefined });
    expect(blind.correctionUs(stamped(own(1300)))).toBe(0);
  });

  test("of more clocks than are told apart corrects nothing, and those that are known as before", () => {
    const correction = new ClockCorrection(own(0));
    for (let i = 1; i <= 100; i++) expect(correction.correctionUs(stamped(own(i * 1000)))).toBe(i * 1000);
    expect(correction.correctionUs(stamped(own(101_000_000)))).toBe(0);
    expect(correction.correctionUs(stamped(own(5000)))).toBe(5000);
    expect(correction.correctionUs(stamped(own(202_000_000)))).toBe(0);
    expect(correction.seen.filter(({ reading }) => reading === undefined)).toEqual([
      { reading: undefined, correctionUs: 0, messages: 2 },
    ]);
  });

  test("is said in a line", () => {
    const mine = { aheadUs: -100, errorUs: 200 };
    const lines = (changes: Partial<ClockRecord>, ...flags: string[]) =>
      clockLines({
        clock: { reference: "broker-a", own: mine, producers: [], ...changes },
        flags: flags.map((id) => ({ id, text: "" })),
      });
    const ahead = { clock: { aheadUs: 1300, errorUs: 200 }, correctionUs: 1400, messages: 5 };
    const same = { clock: { aheadUs: 0, errorUs: 210 }, correctionUs: 0, messages: 5 };
    expect(lines({ producers: [ahead] })).toEqual([
      "clocks  producer +1.30 ms ±0.20, this host -0.10 ms ±0.20 of broker-a's; end-to-end latencies are corrected by +1.40 ms ±0.40",
    ]);
    expect(lines({ producers: [same] })).toEqual(["clocks  producer and this host agree within 0.41 ms by broker-a's"]);
    expect(lines({ producers: [same] }, "SAME-HOST")).toEqual([]);
    expect(lines({ producers: [{ correctionUs: 0, messages: 1234 }] }, "SAME-HOST")[0]).toMatch(
      /^clocks {2}\S+ messages do not tell how their producer's clock is to broker-a's/,
    );
    expect(lines({})).toEqual([]);
    expect(lines({ own: { aheadUs: -5000, errorUs: 200 } })).toEqual([
      "clocks  this host -5.00 ms ±0.20 of broker-a's",
    ]);
  });
});

describe("against a broker", () => {
  const folder = mkdtempSync(join(tmpdir(), "mq-bench-clock-"));
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startOwnCluster();
  });
  afterAll(async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true });
  });

  test("a clock that is turned is found out, and the topic for it is gone", async () => {
    const [broker] = await describeBrokers("", cluster.namesrvAddr);
    const { namesrvAddr } = cluster;
    for (const turnedUs of [0, 250_000, -7_654_321]) {
      const own = () => epochMicros(performance.now());
      const clock = () => own() + turnedUs;
      const probe = await ClockProbe.open({ namesrvAddr, broker: broker!, run: "0123456789abcdef", clock });
      const reading = await probe.measure();
      await probe.close();
      // The broker's clock is this machine's, of which the process keeps its own reckoning from when it began.
      const [before, reckoned, after] = [Date.now(), own(), Date.now()];
      expect(reading.aheadUs + reading.errorUs).toBeGreaterThanOrEqual(turnedUs + reckoned - (after + 1) * 1000);
      expect(reading.aheadUs - reading.errorUs).toBeLessThanOrEqual(turnedUs + reckoned - before * 1000);
    }
    expect((await runMq(["topic", "list", "-n", namesrvAddr])).stdout).not.toContain("mq-bench-clock");
  });

  test("a broker that shows messages only when its store pool is committed is waited for; what is refused is said", async () => {
    const pooled = await startOwnCluster({ transientStorePoolEnable: true, commitIntervalCommitLog: 300 });
    try {
      const target = ["-n", pooled.namesrvAddr, "-t", "mq-bench-pooled", "--count", "20", "--quiet"];
      const { stdout, exitCode } = await runMq(["bench", "produce", ...target, "--keep"]);
      expect([exitCode, stdout]).toEqual([0, expect.not.stringContaining("not compared")]);
      const read = await runMq(["bench", "consume", ...target]);
      expect(read.stdout).not.toMatch(/not compared|do not tell/);
    } finally {
      await pooled.stop();
    }
    const clock = { reference: "b", reason: "no permission", producers: [] };
    expect(clockLines({ clock, flags: [] })).toEqual([
      "clocks  not compared with b's, nothing is corrected: no permission",
    ]);
  }, 30_000);

  test("of several brokers the first by name is the reference; where it cannot be asked, it is said why", async () => {
    const { namesrvAddr } = cluster;
    const [broker] = await describeBrokers("", namesrvAddr);
    const nobody = { ...broker!, address: "127.0.0.1:1" };
    const queue = (brokerName: string) => ({ brokerName, host: "127.0.0.1", port: 1, queueId: 0, offset: 0 });
    const queues = [queue("z"), queue("b"), queue("b")];
    const begin = (b: typeof nobody, z: typeof nobody) => {
      const brokers = [
        { ...z, brokerName: "z" },
        { ...b, brokerName: "b" },
        { ...z, brokerName: "a" },
      ];
      return ClockWatch.begin({ queues, brokers }, { namesrvAddr, run: "0123456789abcdef", credentials: undefined });
    };
    const good = await begin(broker!, nobody);
    expect(good.clock).toMatchObject({ reference: "b", reading: { aheadUs: expect.any(Number) } });
    expect(await good.end()).toBeUndefined();
    await good.close();
    const bad = await begin(nobody, broker!);
    expect(bad.clock).toMatchObject({ reference: "b", reason: expect.stringContaining("127.0.0.1:1") });
    expect([bad.clock.reading, await bad.end()]).toEqual([undefined, undefined]);
    await bad.close();
  });

  test("a producer whose clock is ahead, or behind: its messages' latencies are what they are, and it is said", async () => {
    const topic = "mq-bench-clocks";
    const target = ["-n", cluster.namesrvAddr, "-t", topic, "--quiet"];
    const entry = join(import.meta.dir, "..", "..", "cmd", "mq.ts");
    const file = join(folder, "clock.json");
    for (const turnedMs of [3_600_000, -3_600_000]) {
      const preload = join(folder, "turned.ts");
      const origin = `{ value: performance.timeOrigin + ${turnedMs} }`;
      await Bun.write(preload, `Object.defineProperty(performance, "timeOrigin", ${origin});\n`);
      const child = Bun.spawn(
        [
          ...[process.execPath, "--preload", preload, entry, "bench", "produce", ...target],
          ...["--keep", "--count", "200", "--size", turnedMs > 0 ? "200" : "20", "--in-flight", "4"],
        ],
        { stdout: "pipe", stderr: "pipe" },
      );
      const sent = await new Response(child.stdout).text();
      expect(await child.exited).toBe(0);
      expect(sent).toMatch(
        turnedMs > 0 ? /^clocks {2}this host \+3(?:599|600)\d{3}\.\d\d ms ±/m : /^clocks {2}this host -3/m,
      );
      const read = await runMq(["bench", "consume", ...target, "--count", "200", "--json", file]);
      expect(read.exitCode).toBe(0);
      expect(read.stdout).toMatch(/^clocks {2}producer .* latencies are corrected by [+-]\d+\.\d\d ms ±\d/m);
      const { clock, latencies } = (await readResult(file)).runs[0]!;
      expect(clock!.producers).toMatchObject([{ messages: 200 }]);
      expect(Math.abs(clock!.producers[0]!.correctionUs - turnedMs * 1000)).toBeLessThan(60_000_000);
      // Sent less than a minute ago, and every one counted.
      expect(latencies.e2e).toMatchObject({ count: 200, nonPositive: 0, overRange: 0 });
      expect(latencies.e2e!.max).toBeLessThan(60_000_000);
      await runMq(["topic", "delete", "-n", cluster.namesrvAddr, "-t", topic, "-c", "DefaultCluster"]);
    }
  }, 60_000);

  test("the topic for it is named where it cannot be deleted any more", async () => {
    const gone = await startOwnCluster();
    const args = ["-n", gone.namesrvAddr, "-t", "mq-bench-gone", "--keep", "--rate", "50", "--warmup", "0s"];
    const child = spawnMq(["bench", "produce", ...args]);
    await readUntil(child.stderr, "msg/s");
    await gone.stop();
    child.kill("SIGINT");
    const said = await readUntil(child.stderr, "could not be deleted\n");
    expect(said).toMatch(/^warning: topic mq-bench-clock-[0-9a-f]{8} is left: it could not be deleted$/m);
    expect(await child.exited).toBe(130);
  }, 30_000);

  test("messages that do not tell are left as they are, and that is said", async () => {
    const topic = "mq-bench-untold";
    const target = ["-n", cluster.namesrvAddr, "-t", topic, "--quiet", "--count", "100"];
    expect((await runMq(["bench", "e2e", ...target, "--keep"])).exitCode).toBe(0);
    const { stdout } = await runMq(["bench", "consume", ...target]);
    expect(stdout).toMatch(/^clocks {2}100 messages do not tell how their producer's clock is to /m);
    expect(stdout).toMatch(/^e2e .* 100\n/m);
  }, 30_000);
});
