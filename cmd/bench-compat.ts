import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { errorText, UsageError } from "../lib/base/errors.ts";
import { originalTool, parseOriginal } from "../lib/bench/compat/original-flags.ts";
import { OriginalLines, originalHeadline } from "../lib/bench/compat/original-lines.ts";
import { groupOf, originalPlan } from "../lib/bench/compat/original-plan.ts";
import { Histogram, type HistogramSnapshot } from "../lib/bench/histogram.ts";
import { LoadTopic } from "../lib/bench/load/load-topic.ts";
import { type LoadPlan, type LoadSecond, noChecks } from "../lib/bench/load/plan.ts";
import { runLoad } from "../lib/bench/load/run-load.ts";
import { DEFAULT_NAMESRV_ADDR } from "../lib/client/client-options.ts";
import { print, warn } from "./out.ts";

const COMPAT = "--compat";
const ONLY = "rocketmq";
const QUEUES = 4;
const EXIT_INTERRUPTED = 130;

const HELP = [
  "mq bench VERB --compat rocketmq: takes the options of RocketMQ's own benchmark programs and prints their lines.",
  "VERB is produce, batch, transaction or consume, or the program's own name: producer, batchproducer, tproducer, consumer.",
  "",
  "Example:",
  "  mq bench produce --compat rocketmq -n localhost:9876 -t BenchmarkTest -w 64 -s 128 -q 1000000",
  "  mq bench consume --compat rocketmq -n localhost:9876 -w 20 -ri 5000",
].join("\n");

/** `mq bench VERB --compat rocketmq` and the original's options. Throws UsageError. */
export async function benchCompat(rawArgs: readonly string[]): Promise<void> {
  const args = [...rawArgs];
  const at = args.findIndex((arg) => arg === COMPAT || arg.startsWith(`${COMPAT}=`));
  const [flag = "", next] = args.splice(at, args[at] === COMPAT ? 2 : 1);
  const kind = flag === COMPAT ? next : flag.slice(COMPAT.length + 1);
  if (kind !== ONLY) throw new UsageError(`${COMPAT} is ${JSON.stringify(kind ?? "")}, want ${ONLY}`);
  const [verb, ...options] = args;
  if (verb === undefined || options.includes("-h") || options.includes("--help")) return print(HELP);
  const flags = parseOriginal(originalTool(verb), options);
  const group = flags.tool === "consumer" ? groupOf(flags, Date.now()) : "";
  const expression = flags.tool === "consumer" ? filterOf(flags.text("filterType"), flags.text("expression")) : "*";
  const partial = originalPlan(flags, group, expression, randomBytes(4).readUInt32BE());
  const headline = originalHeadline(flags, group);
  if (headline !== "") print(headline);
  if (expression !== "*") print(`Expression: ${expression}`);
  const namesrvAddr = flags.text("namesrvAddr") || process.env.NAMESRV_ADDR || DEFAULT_NAMESRV_ADDR;
  const topic = await LoadTopic.open({
    namesrvAddr,
    topic: partial.topic,
    cluster: undefined,
    queues: QUEUES,
    from: "last",
    readOnly: false,
    // The original sends to any topic, and leaves it.
    force: true,
    run: randomBytes(12).toString("hex"),
    credentials: partial.credentials,
  });
  let asked = false;
  const onSignal = () => {
    if (asked) process.exit(EXIT_INTERRUPTED);
    asked = true;
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    if (flags.tool === "consumer") print("Consumer Started.");
    const plan: LoadPlan = {
      ...partial,
      queues: topic.queues,
      traceNamesrvAddr: flags.on("msgTraceEnable") ? namesrvAddr : undefined,
    };
    const lines = new OriginalLines(flags, plan.batch, Date.now());
    const outcome = await runLoad(plan, {
      workers: 1,
      stopped: () => asked,
      onSecond: (second) => {
        const line = lines.second(originalSecond(second), Date.now());
        if (line !== undefined) print(line);
      },
    });
    if (plan.count !== undefined && !asked) print(lines.complete());
    for (const [name, count] of Object.entries(outcome.errors)) warn(`${name}, ${count} times`);
    if (asked) process.exitCode = EXIT_INTERRUPTED;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
    await topic.close(true);
  }
}

/** The filter's text stands in a file; without a kind there is none. */
function filterOf(kind: string, file: string): string {
  if (kind === "" || file === "") return "*";
  if (kind !== "TAG" && kind !== "SQL92")
    throw new UsageError(`filterType is ${JSON.stringify(kind)}, want TAG or SQL92`);
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new UsageError(`expression is ${JSON.stringify(file)}, want a file with the filter: ${errorText(error)}`);
  }
}

function originalSecond({ counts, latencies, checks }: LoadSecond) {
  const whole = (snapshot: HistogramSnapshot | undefined) => ({
    count: snapshot === undefined ? 0 : Histogram.from(snapshot).count,
    sumMs: (snapshot?.sum ?? 0) / 1000,
    maxMs: (snapshot?.max ?? 0) / 1000,
  });
  return {
    acked: counts.acked,
    failed: counts.failed,
    received: counts.received,
    answers: whole(latencies.service),
    b2c: whole(latencies.b2c),
    s2c: whole(latencies.s2c),
    checks: checks ?? noChecks(),
  };
}
