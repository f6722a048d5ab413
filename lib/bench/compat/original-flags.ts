import { UsageError } from "../../base/errors.ts";

/** RocketMQ's benchmark programs [org.apache.rocketmq.example.benchmark]. */
export type OriginalTool = "producer" | "batchproducer" | "tproducer" | "consumer";

/** Short and long name of an option and its value where it is not given. */
type Option = readonly [short: string, long: string, otherwise: string];

const NAMESRV: Option = ["n", "namesrvAddr", ""];
const ACL: readonly Option[] = [
  ["a", "aclEnable", "false"],
  ["ak", "accessKey", ""],
  ["sk", "secretKey", ""],
];
const COMPRESS: readonly Option[] = [
  ["c", "compressEnable", "false"],
  ["ct", "compressType", "ZLIB"],
  ["cl", "compressLevel", "5"],
  ["ch", "compressOverHowMuch", "4096"],
];
const COMMON: readonly Option[] = [
  NAMESRV,
  ...ACL,
  ["t", "topic", "BenchmarkTest"],
  ["m", "msgTraceEnable", "false"],
  ["ri", "reportInterval", "10000"],
];

const SENDER: readonly Option[] = [
  ["w", "threadCount", "64"],
  ["s", "messageSize", "128"],
  ["k", "keyEnable", "false"],
  ["p", "propertySize", "0"],
  ["l", "tagCount", "0"],
];

/** Every option that the programs know, with their defaults [Producer#buildCommandlineOptions and its likes]. */
const OPTIONS: Readonly<Record<OriginalTool, readonly Option[]>> = {
  producer: [
    ...COMMON,
    ...COMPRESS,
    ...SENDER,
    ["q", "messageQuantity", "0"],
    ["d", "delayEnable", "false"],
    ["e", "delayLevel", "1"],
    ["y", "asyncEnable", "false"],
  ],
  batchproducer: [...COMMON, ...COMPRESS, ...SENDER, ["b", "batchSize", "16"]],
  tproducer: [
    ...COMMON,
    ["w", "threadCount", "32"],
    ["s", "messageSize", "2048"],
    ["sr", "sendRollbackRate", "0.0"],
    ["su", "sendUnknownRate", "0.0"],
    ["cr", "checkRollbackRate", "0.0"],
    ["cu", "checkUnknownRate", "0.0"],
    ["b", "testBatchId", ""],
    ["i", "sendInterval", "0"],
  ],
  consumer: [
    ...COMMON,
    ["w", "threadCount", "20"],
    ["g", "group", "benchmark_consumer"],
    ["p", "groupPrefixEnable", "false"],
    ["f", "filterType", ""],
    ["e", "expression", ""],
    ["r", "failRate", "0.0"],
    ["c", "clientRebalanceEnable", "true"],
  ],
};

/** Verbs of `mq bench` and the programs' own names. */
const TOOLS: Readonly<Record<string, OriginalTool>> = {
  produce: "producer",
  producer: "producer",
  batch: "batchproducer",
  batchproducer: "batchproducer",
  transaction: "tproducer",
  tx: "tproducer",
  tproducer: "tproducer",
  consume: "consumer",
  consumer: "consumer",
};

/** Flags of one program as texts, by their long names. */
export interface OriginalFlags {
  tool: OriginalTool;
  text(name: string): string;
  /** A whole number. Throws UsageError. */
  number(name: string): number;
  /** A number with a fraction. Throws UsageError. */
  part(name: string): number;
  /** As Java's Boolean.parseBoolean: "true" in any case, else false. */
  on(name: string): boolean;
}

export function originalTool(verb: string): OriginalTool {
  const tool = Object.hasOwn(TOOLS, verb) ? TOOLS[verb] : undefined;
  if (tool === undefined)
    throw new UsageError(`--compat rocketmq has no ${JSON.stringify(verb)}, want ${Object.keys(TOOLS).join(", ")}`);
  return tool;
}

/** Reads `-w 64`, `-w64`, `-w=64`, `--threadCount 64`, `--threadCount=64`. Throws UsageError for anything the program does not know. */
export function parseOriginal(tool: OriginalTool, args: readonly string[]): OriginalFlags {
  const options = OPTIONS[tool];
  const values = new Map(options.map(([, long, otherwise]) => [long, otherwise]));
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    const { option, attached } = find(tool, options, arg);
    const value = attached ?? args[++i];
    if (value === undefined) throw new UsageError(`${arg} of RocketMQ's ${tool} wants a value`);
    values.set(option[1], value.trim());
  }
  const text = (name: string) => values.get(name) ?? "";
  const numeric = (name: string, form: RegExp, want: string) => {
    if (!form.test(text(name))) throw new UsageError(`${name} is ${JSON.stringify(text(name))}, want ${want}`);
    return Number(text(name));
  };
  return {
    tool,
    text,
    number: (name) => numeric(name, /^\d{1,10}$/, "a whole number"),
    part: (name) => numeric(name, /^\d+(?:\.\d+)?$/, "a number"),
    on: (name) => text(name).toLowerCase() === "true",
  };
}

function find(tool: OriginalTool, options: readonly Option[], arg: string): { option: Option; attached?: string } {
  const [, dashes = "", word = "", attached] = /^(--?)([A-Za-z]+[0-9]*?)(?:=(.*))?$/.exec(arg) ?? [];
  const exact = options.find(([short, long]) => (dashes === "-" && word === short) || word === long);
  if (exact !== undefined) return attached === undefined ? { option: exact } : { option: exact, attached };
  // A letter and its value in one word; the longer letters first.
  const glued = dashes === "-" || arg.startsWith("-") ? [...options].sort((a, b) => b[0].length - a[0].length) : [];
  const found = glued.find(([short]) => arg.startsWith(`-${short}`) && /^\d/.test(arg.slice(1 + short.length)));
  if (found !== undefined) return { option: found, attached: arg.slice(1 + found[0].length) };
  const known = options.map(([short]) => `-${short}`).join(" ");
  throw new UsageError(`unknown option ${JSON.stringify(arg)} of RocketMQ's ${tool}, want some of ${known}`);
}
