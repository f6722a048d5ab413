import { defineCommand } from "citty";
import * as v from "valibot";
import { startNullSink } from "../lib/bench/load/null-sink.ts";
import type { LoadPlan } from "../lib/bench/load/plan.ts";
import { runLoad } from "../lib/bench/load/run-load.ts";
import { loadRecord } from "../lib/bench/load/to-record.ts";
import { latencyTable } from "../lib/bench/report/summary.ts";
import { loadArgs, loadEntries, planOf } from "./bench-flags.ts";
import { parseFlags } from "./client-flags.ts";
import { print } from "./out.ts";

/** The generator against a sink in a thread of this process that stores nothing. */
export const benchNullCommand = defineCommand({
  meta: { name: "null", description: "The generator's own ceiling: sends to a sink that stores nothing" },
  args: loadArgs,
  async run({ args }) {
    const flags = parseFlags(v.object(loadEntries), args);
    const sink = await startNullSink(Bun.main);
    const queue = { brokerName: "null", host: "127.0.0.1", port: sink.port, queueId: 0, offset: 0 };
    const partial = planOf(flags, { kind: "plain", sends: true, receives: false });
    const plan: LoadPlan = { ...partial, header: "rocketmq", topic: "null", queues: [queue], delayMs: 0 };
    const startedAt = Date.now();
    try {
      const outcome = await runLoad(plan, { workers: flags.workers, workerEntry: Bun.main });
      const run = loadRecord(plan, outcome, { work: "null", verb: "null", startedAt, resources: [], sameHost: true });
      print(latencyTable(run).join("\n"));
      const perSecond = run.counts.acked / Math.max(run.seconds, 1e-9);
      print(
        `ceiling ${perSecond.toFixed(0)} messages/s of ${plan.bodyBytes} B over ${plan.producers} x ${plan.inFlight} with ${outcome.workers} thread${outcome.workers === 1 ? "" : "s"}, the busiest at ${(100 * run.client.cpu).toFixed(0)} %`,
      );
    } finally {
      sink.stop();
    }
  },
});
