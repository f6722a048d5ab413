import { defineCommand } from "citty";
import * as v from "valibot";
import { UsageError } from "../lib/base/errors.ts";
import { workloadFlags } from "../lib/bench/workload.ts";
import { loadArgs, loadEntries, part, type VerbOptions } from "./bench-flags.ts";
import { runVerb } from "./bench-run.ts";
import { parseFlags, wholeNumber } from "./client-flags.ts";
import { shownCommand } from "./credential-flags.ts";

const DELAY_LEVELS_MAX = 1000;

/** A verb whose flags are those of every load. */
function verb(name: string, description: string, options: VerbOptions, from: "first" | "last" = "last") {
  return defineCommand({
    meta: { name, description },
    args: {
      ...loadArgs,
      workload: {
        type: "string",
        description: "Flags that are not given come from this OpenMessaging Benchmark workload",
        valueHint: "file",
      },
    },
    async run({ args, rawArgs }) {
      const file = v.parse(v.optional(v.string()), args.workload);
      const given = file === undefined ? args : { ...args, ...withoutGiven(await workloadFlags(file), rawArgs) };
      const flags = parseFlags(v.object(loadEntries), given);
      return runVerb({ verb: name, options, flags, from, command: shownCommand(`mq bench ${name}`, rawArgs) });
    },
  });
}

/** What the command line says wins over the file. */
function withoutGiven(flags: Record<string, string | boolean>, rawArgs: readonly string[]) {
  const isGiven = (name: string) => {
    const { alias } = (loadArgs as Record<string, { alias?: string | readonly string[] }>)[name] ?? {};
    const spellings = [`--${name}`, ...[alias ?? []].flat().map((one) => (one.length === 1 ? `-${one}` : `--${one}`))];
    return rawArgs.some((arg) => spellings.some((spelled) => arg === spelled || arg.startsWith(`${spelled}=`)));
  };
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !isGiven(name)));
}

const plain = { kind: "plain", sends: true, receives: true } as const;

export const benchProduceCommand = verb("produce", "Send as fast as answers come, or at a rate", {
  ...plain,
  receives: false,
});

export const benchE2eCommand = verb(
  "e2e",
  "Send and receive: latency to the consumer, and whether every message came once, whole and in order",
  plain,
);

export const benchConsumeCommand = defineCommand({
  meta: { name: "consume", description: "Receive what a topic holds (--from first), or what comes" },
  args: {
    ...loadArgs,
    from: { type: "enum", options: ["first", "last"], default: "first", description: "Where to begin" },
  },
  run({ args, rawArgs }) {
    const from = v.picklist(["first", "last"], "first or last");
    const flags = parseFlags(v.object({ ...loadEntries, topic: v.nonOptional(loadEntries.topic), from }), args);
    const options = { kind: "plain", sends: false, receives: true } as const;
    const command = shownCommand("mq bench consume", rawArgs);
    return runVerb({ verb: "consume", options, flags, from: flags.from, command });
  },
});

export const benchBatchCommand = defineCommand({
  meta: { name: "batch", description: "Send batches: many messages in one request" },
  args: {
    ...loadArgs,
    batch: { type: "string", alias: "b", description: "Messages in a batch", default: "32", valueHint: "n" },
    receive: { type: "boolean", description: "Receive and check them as well" },
  },
  run({ args, rawArgs }) {
    const flags = parseFlags(
      v.object({
        ...loadEntries,
        batch: v.optional(wholeNumber(1, 10_000), "32"),
        receive: v.optional(v.boolean(), false),
      }),
      args,
    );
    const options = { kind: "batch", sends: true, receives: flags.receive, batch: flags.batch } as const;
    const command = shownCommand("mq bench batch", rawArgs);
    return runVerb({ verb: "batch", options, flags, from: "last", command });
  },
});

export const benchDelayCommand = defineCommand({
  meta: { name: "delay", description: "Send delayed messages and measure how late they come" },
  args: {
    ...loadArgs,
    level: { type: "string", alias: "l", description: "Delay level: 1 is 1 s, 2 is 5 s", default: "1", valueHint: "n" },
  },
  run({ args, rawArgs }) {
    const flags = parseFlags(
      v.object({ ...loadEntries, level: v.optional(wholeNumber(1, DELAY_LEVELS_MAX), "1") }),
      args,
    );
    const options = { ...plain, kind: "delay", delayLevel: flags.level } as const;
    const command = shownCommand("mq bench delay", rawArgs);
    return runVerb({ verb: "delay", options, flags, from: "last", command });
  },
});

function rate(description: string) {
  return { type: "string", description, default: "0", valueHint: "part" } as const;
}

export const benchTransactionCommand = defineCommand({
  meta: { name: "transaction", description: "Half messages, committed or rolled back, and what consumers see of them" },
  args: {
    ...loadArgs,
    "rollback-rate": rate("Part that is rolled back, 0 to 1"),
    "unknown-rate": rate("Of the others, the part of which nothing is said until the broker asks"),
    "check-rollback-rate": rate("Of the answers when it asks, the part that rolls back"),
    "check-unknown-rate": rate(
      "Of the other answers, the part that leaves it to the next time: each takes transactionCheckInterval, and at the end as many are waited for as it takes, ten minutes at most, then --drain-timeout",
    ),
  },
  run({ args, rawArgs }) {
    const entry = v.optional(part, "0");
    const rates = {
      "rollback-rate": entry,
      "unknown-rate": entry,
      "check-rollback-rate": entry,
      "check-unknown-rate": entry,
    };
    const flags = parseFlags(v.object({ ...loadEntries, ...rates }), args);
    const fates = {
      rollbackRate: flags["rollback-rate"],
      unknownRate: flags["unknown-rate"],
      checkRollbackRate: flags["check-rollback-rate"],
      checkUnknownRate: flags["check-unknown-rate"],
    };
    if (fates.unknownRate === 0 && fates.checkRollbackRate + fates.checkUnknownRate > 0)
      throw new UsageError(
        "--check-rollback-rate and --check-unknown-rate are for answers to checks, which --unknown-rate makes",
      );
    const options = { ...plain, kind: "transaction", fates } as const;
    const command = shownCommand("mq bench transaction", rawArgs);
    return runVerb({ verb: "transaction", options, flags, from: "last", command });
  },
});
