import { defineCommand } from "citty";
import * as v from "valibot";
import { ExitCode } from "../lib/base/errors.ts";
import { Backlog } from "../lib/bench/load/backlog.ts";
import { LoadTopic } from "../lib/bench/load/load-topic.ts";
import type { LedgerPart, LoadPlan } from "../lib/bench/load/plan.ts";
import { groupNames } from "../lib/bench/load/send-back.ts";
import { checkExportPaths, exportResult } from "../lib/bench/report/export.ts";
import { countText } from "../lib/bench/report/figures.ts";
import { summaryText } from "../lib/bench/report/summary.ts";
import { machineFacts } from "../lib/bench/resources/machine.ts";
import { type BenchResult, RESULT_SCHEMA } from "../lib/bench/result.ts";
import { DEFAULT_NAMESRV_ADDR } from "../lib/client/client-options.ts";
import { loadArgs, loadEntries, messageRate, planOf, runName } from "./bench-flags.ts";
import { onInterrupt } from "./bench-interrupt.ts";
import { BenchExit, exitCode, measured } from "./bench-run.ts";
import { addTune } from "./bench-tuned.ts";
import { parseFlags } from "./client-flags.ts";
import { shownCommand } from "./credential-flags.ts";
import { print, say, warn } from "./out.ts";
import { MQ_VERSION } from "./version.ts";

/** Without a rate, production while the backlog is read is this part of what filling reached. */
const RATE_PART = 0.1;

const { count: _count, gate: _gate, repeat: _repeat, ...sharedArgs } = loadArgs;
const { count: _countEntry, gate: _gateEntry, repeat: _repeatEntry, ...sharedEntries } = loadEntries;

export const benchBacklogCommand = defineCommand({
  meta: {
    name: "backlog",
    description: "Fill a topic, then read it while production goes on: how long until consumers are up to date",
  },
  args: {
    ...sharedArgs,
    fill: { type: "string", description: "Messages that wait when reading begins", default: "200k", valueHint: "n" },
  },
  async run({ args, rawArgs }) {
    const { fill, ...given } = parseFlags(v.object({ ...sharedEntries, fill: v.optional(messageRate, "200k") }), args);
    const flags = { ...given, count: undefined, gate: undefined, repeat: 1 };
    checkExportPaths(flags);
    const partial = planOf(flags, { kind: "plain", sends: true, receives: true });
    const namesrvAddr = flags.namesrv ?? process.env.NAMESRV_ADDR ?? DEFAULT_NAMESRV_ADDR;
    const startedAt = Date.now();
    const topic = await LoadTopic.open({
      namesrvAddr,
      topic: flags.topic,
      cluster: flags.cluster,
      queues: flags.queues,
      from: "last",
      readOnly: false,
      force: flags.force,
      run: runName(),
      credentials: partial.credentials,
    });
    const interrupt = onInterrupt();
    try {
      const traceNamesrvAddr = flags.msgTraceEnable ? namesrvAddr : undefined;
      const plan: LoadPlan = { ...partial, topic: topic.name, queues: topic.queues, delayMs: 0, traceNamesrvAddr };
      let waiting: LedgerPart | undefined;
      const filling = { ...plan, consumers: 0, rate: undefined, warmupSeconds: 0, count: Math.ceil(fill) };
      const filled = await measured(
        { ...filling, seconds: Number.MAX_SAFE_INTEGER },
        topic,
        "fill",
        flags,
        interrupt.stopped,
        {
          onOutcome: ({ ledger }) => {
            waiting = ledger;
          },
        },
      );
      const rate =
        flags.rate ?? Math.max(1, Math.round((RATE_PART * filled.counts.acked) / Math.max(1e-3, filled.seconds)));
      const backlog = new Backlog(filled.counts.acked, plan.groups);
      // Numbers go on, so that both parts' messages are accounted for in one ledger.
      const reading = { ...plan, rate, warmupSeconds: 0, firstProducer: plan.producers };
      const read = await measured(
        reading,
        topic,
        "backlog",
        flags,
        () => interrupt.stopped() || backlog.caughtUpSeconds !== undefined,
        { before: waiting, onSecond: (second) => backlog.add(second) },
      );
      // It ends when consumers are up to date.
      read.flags = read.flags.filter(({ id }) => id !== "SHORT-RUN");
      read.interrupted = interrupt.stopped();
      read.figures = { ...read.figures, backlogMessages: filled.counts.acked, backlogLeft: backlog.left };
      if (backlog.caughtUpSeconds !== undefined) read.figures.catchUpSeconds = backlog.caughtUpSeconds;
      const result: BenchResult = {
        schema: RESULT_SCHEMA,
        mq: MQ_VERSION,
        command: shownCommand("mq bench backlog", rawArgs),
        startedAt,
        machine: machineFacts(),
        brokers: topic.brokers.map(({ host: _, port: __, ...rest }) => rest),
        runs: [filled, read],
      };
      addTune(result, topic.brokers);
      print(summaryText(result, filled));
      print(`\n${summaryText(result, read)}`);
      print(backlogText(filled.counts.acked, backlog, rate));
      const written = await exportResult(result, flags);
      if (written.length > 0) say(`saved ${written.join(" ")}`);
      const code = exitCode(read, [], flags.strict);
      process.exitCode = code === ExitCode.ok && backlog.caughtUpSeconds === undefined ? BenchExit.missed : code;
    } finally {
      interrupt.end();
      const left = await topic.close(flags.keep, groupNames(partial));
      if (left !== undefined) warn(`topic ${left} is left: it could not be deleted`);
    }
  },
});

function backlogText(messages: number, backlog: Backlog, rate: number): string {
  const { caughtUpSeconds, left, perSecond } = backlog;
  return caughtUpSeconds === undefined
    ? `backlog of ${countText(messages)}: ${countText(left)} are left, consumers are not up to date while ${countText(rate)}/s are sent`
    : `backlog of ${countText(messages)}: up to date after ${caughtUpSeconds.toFixed(1)} s, read at ${countText(perSecond)}/s while ${countText(rate)}/s were sent`;
}
