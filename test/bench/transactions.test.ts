import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checksOf } from "../../lib/bench/load/broker-times.ts";
import { CHECKS_MS_MAX, Drain } from "../../lib/bench/load/drain.ts";
import { Ledger, mergeLedgers, verdict } from "../../lib/bench/load/ledger.ts";
import type { LoadPlan } from "../../lib/bench/load/plan.ts";
import { runLoad } from "../../lib/bench/load/run-load.ts";
import { type FateRates, fateOf } from "../../lib/bench/load/transaction-fate.ts";
import { readResult } from "../../lib/bench/result.ts";
import { type Cluster, startOwnCluster } from "../support/cluster.ts";
import { readUntil, runMq, spawnMq } from "../support/run-mq.ts";
import { fakeBroker } from "./fake-broker.ts";
import { loadPlan } from "./load-plan.ts";

const NONE: FateRates = { rollbackRate: 0, unknownRate: 0, checkRollbackRate: 0, checkUnknownRate: 0 };
const MIXED: FateRates = { rollbackRate: 0.25, unknownRate: 0.5, checkRollbackRate: 0.25, checkUnknownRate: 0.5 };

/** How often each state is said of the first `count` transactions at one of the checks. */
function states(rates: FateRates, count: number, times: number) {
  const all = Array.from({ length: count }, (_, sequence) => fateOf(rates, sequence, times));
  return ["COMMIT_MESSAGE", "ROLLBACK_MESSAGE", "UNKNOW"].map((state) => all.filter((one) => one === state).length);
}

describe("what is said of a transaction", () => {
  test("the parts are those that were asked for, of what is left each time", () => {
    expect(states(NONE, 100, 0)).toEqual([100, 0, 0]);
    expect(states({ ...NONE, rollbackRate: 1, unknownRate: 1 }, 100, 0)).toEqual([0, 100, 0]);
    expect(states({ ...NONE, unknownRate: 1, checkUnknownRate: 1 }, 100, 15)).toEqual([0, 0, 100]);
    expect(states(MIXED, 3200, 0)).toEqual([1200, 800, 1200]);
    // Of 1,200 that are unknown a quarter is rolled back, half of the others stays unknown.
    expect(states(MIXED, 3200, 1)).toEqual([1200 + 450, 800 + 300, 450]);
  });

  test("what was decided once stays", () => {
    for (let sequence = 0; sequence < 1000; sequence++) {
      const said = Array.from({ length: 5 }, (_, times) => fateOf(MIXED, sequence, times));
      const first = said.findIndex((state) => state !== "UNKNOW");
      if (first >= 0) expect(new Set(said.slice(first)).size).toBe(1);
    }
  });
});

describe("the ledger of transactions that are unknown", () => {
  test("committed by another thread they are expected; delivered while nobody has decided they are an error", () => {
    const [asked, answering] = [new Ledger(), new Ledger()];
    for (const sequence of [0, 1, 2, 3]) asked.undecided(0, sequence);
    answering.acked(0, 0);
    answering.rolledBack(0, 1);
    answering.received(0, 0, "q", 0);
    const parts = () => verdict(mergeLedgers([asked.part(), answering.part()]));
    expect(parts()).toMatchObject({ ledger: { acked: 1, received: 1, lost: 0 }, rolledBack: 0, undecided: 2 });
    answering.received(0, 2, "q", 1);
    expect(parts()).toMatchObject({ ledger: { unknownOk: 0, lost: 0 }, rolledBack: 1, undecided: 2 });
    expect(parts().ledger.examples).toEqual(["undecided and delivered: message 0/2"]);
    asked.acked(0, 3);
    expect(parts().ledger).toMatchObject({ acked: 2, lost: 1 });
  });
});

test("a heartbeat that is refused is named as one, once: the broker will ask for no transaction", async () => {
  using broker = fakeBroker({ refuseHeartbeat: "group g may not" });
  const notes: string[] = [];
  const load = loadPlan(broker.port, { kind: "transaction", unknownRate: 1, consumers: 0, count: 20 });
  const outcome = await runLoad(load, { onSecond: (second) => notes.push(...(second.notes ?? [])) });
  expect(outcome.errors["NO_PERMISSION (16)"]).toBe(1);
  expect(notes).toEqual(["NO_PERMISSION (16): heartbeat: group g may not"]);
});

/** What is to be waited for when so many transactions of one producer are unknown, and whether that is over at once. */
function drainOf(changes: Partial<LoadPlan>, unknown = 8) {
  const ledger = new Ledger();
  for (let sequence = 0; sequence < unknown; sequence++) ledger.undecided(0, sequence);
  const waits: number[] = [];
  let settled = false;
  const plan = loadPlan(1, { ...NONE, unknownRate: 1, checks: { firstMs: 6, everyMs: 30, most: 15 }, ...changes });
  const drain = new Drain(plan, {
    stopped: () => false,
    settle: () => {
      settled = true;
    },
    onChecks: (ms) => waits.push(ms),
  });
  return { ledger, waits, look: () => drain.look(ledger.part()), isSettled: () => settled };
}

describe("the drain", () => {
  test("waits for as many rounds of checks as decide what is unknown, for the drain timeout, and ten minutes at most", () => {
    const wait = (changes: Partial<LoadPlan>, unknown?: number) => {
      const { look, waits } = drainOf({ drainMs: 1000, ...changes }, unknown);
      return [look(), look(), ...waits];
    };
    expect(wait({})).toEqual([undefined, undefined, 1000 + 6 + 30]);
    // Of eight that are unknown four stay so, then two, then one: the fourth check decides the last.
    expect(wait({ checkUnknownRate: 0.5 })).toEqual([undefined, undefined, 1000 + 6 + 4 * 30]);
    // The broker asks twice only.
    const twice = { firstMs: 6, everyMs: 30, most: 2 };
    expect(wait({ checkUnknownRate: 0.5, checks: twice })).toEqual([undefined, undefined, 1000 + 6 + 2 * 30]);
    const rare = { firstMs: 6000, everyMs: 600_000, most: 15 };
    expect(wait({ checkUnknownRate: 0.5, checks: rare })).toEqual([undefined, undefined, 1000 + CHECKS_MS_MAX]);
  });

  test("does not wait for what no check decides", () => {
    const { look, waits, isSettled } = drainOf({ drainMs: 1000, checkUnknownRate: 1 });
    expect([look(), waits, isSettled()]).toEqual([{ seconds: undefined }, [], true]);
  });

  test("a broker that asks without end is not waited for without end", () => {
    const checks = { firstMs: 6, everyMs: 1, most: 2 ** 31 - 1 };
    const { look, waits } = drainOf({ drainMs: 1000, checkUnknownRate: 1, checks });
    expect([look(), waits]).toEqual([{ seconds: undefined }, []]);
  });

  test("what more rounds would decide than come in ten minutes is not waited for", () => {
    const checks = { firstMs: 6000, everyMs: 300_000, most: 15 };
    const { ledger, look } = drainOf({ drainMs: 1000, checkUnknownRate: 0.5, checks });
    expect(look()).toBeUndefined();
    // Two rounds decide six of the eight.
    const decided = Array.from({ length: 8 }, (_, i) => i).filter(
      (i) => fateOf({ ...NONE, unknownRate: 1, checkUnknownRate: 0.5 }, i, 2) !== "UNKNOW",
    );
    expect(decided).toHaveLength(6);
    for (const sequence of decided) {
      ledger.acked(0, sequence);
      ledger.received(0, sequence, "q", sequence);
    }
    expect(look()).toEqual({ seconds: undefined });
  });

  test("has no second time where nothing was decided in the first", async () => {
    const { look } = drainOf({ drainMs: 20, checks: { firstMs: 0, everyMs: 1, most: 1 } });
    expect(look()).toBeUndefined();
    await Bun.sleep(40);
    expect(look()).toEqual({ seconds: undefined });
  });

  test("tells how long it took only where all is decided", () => {
    const { ledger, look } = drainOf({ drainMs: 1000 }, 1);
    expect(look()).toBeUndefined();
    ledger.acked(0, 0);
    ledger.received(0, 0, "q", 0);
    expect(look()).toEqual({ seconds: expect.any(Number) });
  });

  test("gives what was committed last its time; nothing is answered any more then", async () => {
    const soon = { drainMs: 200, checks: { firstMs: 0, everyMs: 1, most: 1 } };
    for (const comes of [true, false]) {
      const { ledger, look, isSettled } = drainOf(soon, 2);
      expect(look()).toBeUndefined();
      await Bun.sleep(210);
      ledger.acked(0, 1);
      expect([look(), isSettled()]).toEqual([undefined, true]);
      await Bun.sleep(50);
      if (comes) ledger.received(0, 1, "q", 0);
      if (!comes) {
        expect(look()).toBeUndefined();
        await Bun.sleep(160);
      }
      expect(look()).toEqual({ seconds: undefined });
      expect(verdict(ledger.part())).toMatchObject({ ledger: { lost: comes ? 0 : 1 }, undecided: 1 });
    }
  });

  test("of brokers the slowest one's times count, RocketMQ's defaults where they are not told", () => {
    expect(checksOf([{}])).toEqual({ firstMs: 6000, everyMs: 30_000, most: 15 });
    const [a, b] = [{ transactionTimeOut: "200", transactionCheckMax: "3" }, { transactionCheckInterval: "40000" }];
    expect(checksOf([a, b])).toEqual({ firstMs: 6000, everyMs: 40_000, most: 15 });
    expect(checksOf([a])).toEqual({ firstMs: 200, everyMs: 30_000, most: 3 });
  });

  test.each([1, 2])(
    "commits late: what was asked for at the end is not LOST, what was asked for too late is UNDECIDED (%d workers)",
    async (workers) => {
      // Checks are waited for until 1.2 s after the sending, what they commit for a second more; threads are asked all 200 ms.
      using broker = fakeBroker({
        transactions: { askMs: (number) => (number % 2 === 0 ? 1000 : 1800), showMs: 1000 },
      });
      const load = loadPlan(broker.port, {
        kind: "transaction",
        unknownRate: 1,
        count: 20,
        producers: 2,
        drainMs: 1000,
        checks: { firstMs: 0, everyMs: 200, most: 1 },
      });
      const workerEntry = join(import.meta.dir, "..", "..", "cmd", "mq.ts");
      const outcome = await runLoad(load, { workers, workerEntry });
      expect(outcome.workers).toBe(workers);
      expect(verdict(outcome.ledger)).toMatchObject({
        ledger: { acked: 10, received: 10, lost: 0, unknownOk: 0, duplicates: 0 },
        undecided: 10,
      });
      expect(outcome.checks.checked).toBe(10);
    },
    20_000,
  );
});

describe("against a broker that asks soon", () => {
  const folder = mkdtempSync(join(tmpdir(), "mq-bench-transactions-"));
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startOwnCluster({ transactionTimeOut: 200, transactionCheckInterval: 300 });
  });
  afterAll(async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true });
  });

  test.each([1, 2])(
    "what the answers commit arrives, what they roll back does not (%d workers)",
    async (workers) => {
      const file = join(folder, `${workers}.json`);
      const rates = ["--rollback-rate", "0.25", "--unknown-rate", "0.5", "--check-rollback-rate", "0.25"];
      const { stdout, exitCode } = await runMq([
        ...["bench", "transaction", "-n", cluster.namesrvAddr, "--quiet", "--count", "400", "--conns", "4"],
        ...[...rates, "--check-unknown-rate", "0.5", "--workers", String(workers), "--json", file],
      ]);
      // Each of the four sends a hundred, and all are decided after a few checks.
      const [committed = 0] = states(MIXED, 100, 14).map((count) => 4 * count);
      expect([exitCode, stdout]).toEqual([
        0,
        expect.stringMatching(new RegExp(`acked ${committed} {2}received ${committed} {2}LOST 0 {2}DUP 0`)),
      ]);
      const { figures, flags } = (await readResult(file)).runs[0]!;
      const [, , unknown = 0] = states(MIXED, 100, 0);
      expect(figures).toMatchObject({ undecided: 0, rolledBackDelivered: 0 });
      expect(figures!.checked).toBeGreaterThanOrEqual(4 * unknown);
      expect(stdout).toMatch(/^checks {2}\d+ {2}unexpected \d+ {2}duplicated \d+ {2}UNDECIDED 0$/m);
      expect(flags.map(({ id }) => id)).not.toContain("UNDECIDED");
    },
    60_000,
  );

  test("what is unknown to the end is UNDECIDED, and nothing of it arrives", async () => {
    const { stdout, exitCode } = await runMq([
      ...["bench", "transaction", "-n", cluster.namesrvAddr, "--quiet", "--count", "40", "--unknown-rate", "1"],
      ...["--check-unknown-rate", "1", "--drain-timeout", "500ms"],
    ]);
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/acked 0 {2}received 0 {2}LOST 0/)]);
    expect(stdout).toMatch(/^UNDECIDED: 40 transactions/m);
  }, 60_000);

  test("--compat rocketmq -su: the checks are counted as its program counts them", async () => {
    const line = ["bench", "transaction", "--compat", "rocketmq", "-n", cluster.namesrvAddr, "-t", "TxTest"];
    const child = spawnMq([...line, "-su", "1", "-w", "4", "-i", "100", "-ri", "1000"]);
    const printed = await readUntil(child.stdout, "DuplicatedCheck");
    child.kill("SIGINT");
    await child.exited;
    expect(Number(/\| Check: (\d+) \| UnexpectedCheck: \d+ \|/.exec(printed)?.[1])).toBeGreaterThan(0);
    const status = await runMq(["topic", "status", "-n", cluster.namesrvAddr, "-t", "TxTest", "--json"]);
    expect(status.stdout).toMatch(/"maxOffset":[1-9]/);
  }, 60_000);
});
