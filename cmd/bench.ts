import { defineCommand } from "citty";

export const benchCommand = defineCommand({
  meta: { name: "bench", description: "Measure a RocketMQ cluster, and compare what was measured" },
  subCommands: {
    compare: async () => (await import("./bench-compare.ts")).benchCompareCommand,
    versus: async () => (await import("./bench-versus.ts")).benchVersusCommand,
    report: async () => (await import("./bench-report.ts")).benchReportCommand,
  },
});
