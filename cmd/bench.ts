import { defineCommand } from "citty";
import { benchSet, benchSetArgs } from "./bench-set.ts";

export const benchCommand = defineCommand({
  meta: {
    name: "bench",
    description: "Without a command: a standard set of works, on a broker of its own or on the cluster of -n",
  },
  args: benchSetArgs,
  subCommands: {
    produce: async () => (await import("./bench-verbs.ts")).benchProduceCommand,
    consume: async () => (await import("./bench-verbs.ts")).benchConsumeCommand,
    e2e: async () => (await import("./bench-verbs.ts")).benchE2eCommand,
    batch: async () => (await import("./bench-verbs.ts")).benchBatchCommand,
    delay: async () => (await import("./bench-verbs.ts")).benchDelayCommand,
    transaction: async () => (await import("./bench-verbs.ts")).benchTransactionCommand,
    tx: async () => (await import("./bench-verbs.ts")).benchTransactionCommand,
    backlog: async () => (await import("./bench-backlog.ts")).benchBacklogCommand,
    null: async () => (await import("./bench-null.ts")).benchNullCommand,
    sweep: async () => (await import("./bench-sweep.ts")).benchSweepCommand,
    compare: async () => (await import("./bench-compare.ts")).benchCompareCommand,
    versus: async () => (await import("./bench-versus.ts")).benchVersusCommand,
    report: async () => (await import("./bench-report.ts")).benchReportCommand,
  },
  run: ({ args, rawArgs }) => benchSet(args, rawArgs),
});
