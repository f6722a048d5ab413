import type { ArgsDef, CommandDef } from "citty";

/** One row per subcommand: what `mq --help` says, and where its code is. Loaded only when it is called. */
export interface CommandRow {
  summary: string;
  /** By path below the command: "" is the command itself. */
  examples: Readonly<Record<string, readonly string[]>>;
  load: () => Promise<CommandDef<ArgsDef>>;
  /** Lines with flags of another program's: what runs them, undefined for the command's own lines. */
  foreign?: (rawArgs: readonly string[]) => (() => Promise<void>) | undefined;
}

/** Commands differ in their flags' types; the dispatcher only needs the general shape. */
function general<Args extends ArgsDef>(command: CommandDef<Args>): CommandDef<ArgsDef> {
  return command as unknown as CommandDef<ArgsDef>;
}

export const COMMANDS: Readonly<Record<string, CommandRow>> = {
  start: {
    summary: "Name server and broker in one process, for this machine",
    examples: { "": ["mq start", "mq start --store /data/mq"] },
    load: async () => general((await import("./start.ts")).startCommand),
  },
  namesrv: {
    summary: "Run a name server",
    examples: { "": ["mq namesrv", "mq namesrv -c namesrv.properties"] },
    load: async () => general((await import("./namesrv.ts")).namesrvCommand),
  },
  broker: {
    summary: "Run a broker",
    examples: {
      "": [
        "mq broker -n 'host1:9876;host2:9876' -c broker-a.properties",
        "mq broker --set listenPort=10921 -p",
        "mq broker --production -c broker-a.properties",
      ],
    },
    load: async () => general((await import("./broker.ts")).brokerCommand),
  },
  produce: {
    summary: "Send messages: from the command line, a file or stdin",
    examples: {
      "": [
        "mq produce -n localhost:9876 --topic orders --tag new --key 4711 'hello'",
        "mq produce --topic orders --count 100000 --size 1k --async",
        "cat orders.txt | mq produce --topic orders",
      ],
    },
    load: async () => general((await import("./produce.ts")).produceCommand),
  },
  consume: {
    summary: "Receive messages of a topic as they come",
    examples: {
      "": [
        "mq consume -n localhost:9876 --topic orders --group readers --from first",
        "mq consume --topic orders --group readers --count 10 --format json",
      ],
    },
    load: async () => general((await import("./consume.ts")).consumeCommand),
  },
  topic: {
    summary: "List, create, change and delete topics; their routes and offsets",
    examples: {
      "": ["mq topic list -n localhost:9876"],
      list: ["mq topic list -n localhost:9876"],
      create: ["mq topic create -t orders -c DefaultCluster -r 8 -w 8"],
      update: ["mq topic update -t orders -b localhost:10911 --perm 4"],
      delete: ["mq topic delete -t orders -c DefaultCluster"],
      route: ["mq topic route -t orders"],
      status: ["mq topic status -t orders"],
    },
    load: async () => general((await import("./topic.ts")).topicCommand),
  },
  bench: {
    summary: "Measure a cluster, and compare what was measured",
    examples: {
      "": ["mq bench", "mq bench --store /data --html bench.html", "mq bench -n host:9876"],
      produce: [
        "mq bench produce -n localhost:9876 --rate 20k --duration 60s --html produce.html",
        "mq bench produce --conns 4 --in-flight 64 --size 1k --gate 'p99<10ms,errors=0'",
        "mq bench produce --compat rocketmq -n localhost:9876 -w 64 -s 128 -q 1000000",
      ],
      e2e: ["mq bench e2e -n localhost:9876 --rate 10000 --duration 60s --out r1"],
      consume: ["mq bench consume -n localhost:9876 -t orders --from first --count 1000000"],
      sweep: ["mq bench sweep --rates 1k,5k,20k", "mq bench sweep --find-max --slo 'p99<10ms,errors=0'"],
      versus: ["mq bench versus java=host1:9876 mq=host2:9876 --works send,send-1 --json versus.json"],
      compare: ["mq bench compare before.json after.json --threshold p99:+10%,tps:-5%"],
      report: ["mq bench report run.json --html run.html"],
    },
    load: async () => general((await import("./bench.ts")).benchCommand),
    foreign: (rawArgs) =>
      rawArgs.some((arg) => /^--compat(?:=|$)/.test(arg))
        ? async () => (await import("./bench-compat.ts")).benchCompat(rawArgs)
        : undefined,
  },
  cluster: {
    summary: "List brokers: roles, slaves, bytes behind, who is in sync",
    examples: {
      "": ["mq cluster list -n localhost:9876"],
      list: ["mq cluster list -n localhost:9876", "mq cluster list -c DefaultCluster --json"],
    },
    load: async () => general((await import("./cluster.ts")).clusterCommand),
  },
  config: {
    summary: "Explain keys of RocketMQ's properties files",
    examples: {
      "": ["mq config explain flushDiskType"],
      explain: ["mq config explain flushDiskType", "mq config explain brokerIP1 -c broker-a.properties"],
    },
    load: async () => general((await import("./config.ts")).configCommand),
  },
  tune: {
    summary: "Check this machine for a broker; explain, apply and take back settings",
    examples: {
      "": [
        "mq tune",
        "mq tune diff --profile modern",
        "sudo mq tune --apply --profile modern --user rocketmq",
        "sudo mq tune --revert",
        "mq tune explain vm.max_map_count",
      ],
    },
    load: async () => general((await import("./tune.ts")).tuneCommand),
  },
};
