import { existsSync } from "node:fs";
import type { BrokerFacts } from "../lib/bench/cluster-facts.ts";
import type { BenchResult, RunRecord } from "../lib/bench/result.ts";
import { check } from "../lib/tune/check.ts";
import { Machine } from "../lib/tune/machine.ts";

/**
 * `mq tune check` of this machine where a broker that is measured runs on it, kept in the result; runs get the flag NOT-TUNED when one of
 * its must-haves fails. Read-only.
 */
export function addTune(result: BenchResult, brokers: readonly BrokerFacts[]): void {
  const local = brokers.find(({ pid }) => pid !== undefined);
  if (local === undefined) return;
  const store = local.config.storePathRootDir;
  const report = check(new Machine("/"), {
    profile: "modern",
    // A broker of this program's own is gone by now, and had this process's limits.
    pid: local.pid !== undefined && existsSync(`/proc/${local.pid}`) ? local.pid : "self",
    ...(store === undefined ? {} : { store }),
  });
  result.tune = report;
  const failing = report.checks.filter(({ status, must }) => status === "FAIL" && must).map(({ id }) => id);
  if (failing.length > 0) for (const run of result.runs) flag(run, failing);
}

function flag({ flags }: RunRecord, failing: readonly string[]): void {
  flags.push({ id: "NOT-TUNED", text: `this machine fails ${failing.join(", ")}: mq tune tells more` });
}
