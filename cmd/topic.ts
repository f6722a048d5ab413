import { defineCommand } from "citty";
import * as v from "valibot";
import { MqError, UsageError } from "../lib/base/errors.ts";
import { AdminClient, type Master } from "../lib/client/admin/admin-client.ts";
import type { AdminTopicConfig } from "../lib/client/admin/topic-bodies.ts";
import type { TopicRouteData } from "../lib/protocol/body/topic-route-data.ts";
import { jsonArg, namesrvAddr, namesrvArg, parseFlags, topicName, wholeNumber } from "./client-flags.ts";
import { onEach } from "./on-each.ts";
import { print, printJson, printTable, say } from "./out.ts";

/** mqadmin's defaults for a new topic. */
const NEW_TOPIC = { readQueueNums: 8, writeQueueNums: 8, perm: 6 };
const QUEUES_MAX = 65_535;
/** Topics and prefixes that RocketMQ keeps for itself [TopicValidator]. */
const SYSTEM_TOPICS = new Set([
  "TBW102",
  "SCHEDULE_TOPIC_XXXX",
  "BenchmarkTest",
  "OFFSET_MOVED_EVENT",
  "TRANS_CHECK_MAX_TIME_TOPIC",
  "SELF_TEST_TOPIC",
]);
const SYSTEM_PREFIXES = ["rmq_sys_", "RMQ_SYS_", "%RETRY%", "%DLQ%"];

const common = { namesrv: namesrvAddr, json: v.optional(v.boolean(), false) };
const topicFlag = topicName;
const brokerAddress = v.optional(v.pipe(v.string(), v.regex(/^.+:\d{1,5}$/, "a broker's address, host:port")));

const topicArg = { type: "string", alias: "t", description: "Topic", valueHint: "topic" } as const;
const clusterArg = { type: "string", alias: "c", description: "Cluster", valueHint: "cluster" } as const;
const commonArgs = { namesrv: namesrvArg, json: jsonArg };

/** Runs `task` with an admin client that is closed at the end. */
async function withAdmin(namesrv: string | undefined, task: (admin: AdminClient) => Promise<void>): Promise<void> {
  const admin = new AdminClient({ namesrvAddr: namesrv });
  try {
    await task(admin);
  } finally {
    await admin.close();
  }
}

const listSchema = v.object({ ...common, cluster: v.optional(v.string()), all: v.optional(v.boolean(), false) });

const list = defineCommand({
  meta: { name: "list", description: "Names of the topics" },
  args: {
    ...commonArgs,
    cluster: { ...clusterArg, description: "Only topics of this cluster" },
    all: { type: "boolean", alias: "a", description: "RocketMQ's own, retry and dead-letter topics too" },
  },
  async run({ args }) {
    const flags = parseFlags(listSchema, args);
    await withAdmin(flags.namesrv, async (admin) => {
      // A name server's list of an unknown cluster is empty: the look at the masters refuses that name.
      if (flags.cluster !== undefined) await admin.masters(flags.cluster);
      let topics = await admin.topicList(flags.cluster);
      if (!flags.all) {
        const system = await admin.systemTopicList();
        topics = topics.filter((topic) => !system.has(topic) && !isSystemTopic(topic));
      }
      if (flags.json) printJson({ topics });
      else for (const topic of topics) print(topic);
    });
  },
});

function isSystemTopic(topic: string): boolean {
  return (
    SYSTEM_TOPICS.has(topic) ||
    SYSTEM_PREFIXES.some((prefix) => topic.startsWith(prefix)) ||
    topic.endsWith("_REPLY_TOPIC")
  );
}

const LETTERS: Record<string, number> = { r: 4, w: 2, rw: 6, wr: 6, "-": 0 };

const permission = v.pipe(
  v.string("2, 4, 6, r, w or rw"),
  v.transform((text) =>
    /^\d$/.test(text) ? Number(text) : (LETTERS[text.toLowerCase().replaceAll("-", "") || "-"] ?? -1),
  ),
  v.check((perm) => perm === 0 || perm === 2 || perm === 4 || perm === 6, "2, 4, 6, r, w or rw"),
);

const writeSchema = v.object({
  ...common,
  topic: topicFlag,
  broker: brokerAddress,
  cluster: v.optional(v.string()),
  "read-queues": v.optional(wholeNumber(0, QUEUES_MAX)),
  "write-queues": v.optional(wholeNumber(0, QUEUES_MAX)),
  perm: v.optional(permission),
  order: v.optional(v.boolean()),
  attributes: v.optional(v.string(), ""),
});
type WriteFlags = v.InferOutput<typeof writeSchema>;

const writeArgs = {
  ...commonArgs,
  topic: topicArg,
  broker: { type: "string", alias: "b", description: "Only on this broker", valueHint: "host:port" },
  cluster: { ...clusterArg, description: "On every master of this cluster (default: the only cluster there is)" },
  "read-queues": { type: "string", alias: "r", description: "Queues that can be read", valueHint: "n" },
  "write-queues": { type: "string", alias: "w", description: "Queues that can be written", valueHint: "n" },
  perm: { type: "string", alias: "p", description: "2 or w, 4 or r, 6 or rw", valueHint: "perm" },
  order: { type: "boolean", alias: "o", description: "Keep the order of queues when a broker is away" },
  attributes: { type: "string", alias: "a", description: "+name=value,-name", valueHint: "list" },
} as const;

const create = defineCommand({
  meta: { name: "create", description: "Create a topic; one that is there gets the given values" },
  args: writeArgs,
  run: ({ args }) => writeTopic(parseFlags(writeSchema, args), false),
});

const update = defineCommand({
  meta: { name: "update", description: "Change a topic where it is; what is not given stays" },
  args: writeArgs,
  run: ({ args }) => writeTopic(parseFlags(writeSchema, args), true),
});

interface Written {
  broker: string;
  address: string;
  created: boolean;
  config: Omit<AdminTopicConfig, "attributes">;
}

async function writeTopic(flags: WriteFlags, mustExist: boolean): Promise<void> {
  await withAdmin(flags.namesrv, async (admin) => {
    const masters = await targets(admin, flags);
    const what = `${mustExist ? "update" : "create"} topic "${flags.topic}"`;
    const { done: written, failure } = await onEach(what, masters, async ({ brokerName, address }) => {
      const known = await admin.topicConfig(address, flags.topic);
      if (known === undefined && mustExist) return undefined;
      const config = changedConfig(flags, known);
      await admin.createTopic(address, config, flags.attributes);
      return { broker: brokerName, address, created: known === undefined, config };
    });
    if (written.length === 0 && failure === undefined) {
      throw new MqError(
        `topic "${flags.topic}" is not on ${masters.map(({ address }) => address).join(", ")}; create it with: mq topic create --topic ${flags.topic}`,
      );
    }
    if (flags.order === true && written.length > 0) await writeOrderConf(admin, flags, written);
    if (flags.json)
      printJson({ topic: flags.topic, brokers: written.map(({ config, ...row }) => ({ ...row, ...config })) });
    else for (const row of written) print(writtenText(row));
    if (failure !== undefined) throw failure;
  });
}

/** The given values over the known ones over those of a new topic. */
function changedConfig(flags: WriteFlags, known: AdminTopicConfig | undefined): Written["config"] {
  const base = known ?? NEW_TOPIC;
  return {
    topicName: flags.topic,
    readQueueNums: flags["read-queues"] ?? base.readQueueNums,
    writeQueueNums: flags["write-queues"] ?? base.writeQueueNums,
    perm: flags.perm ?? base.perm,
    topicFilterType: known?.topicFilterType ?? "SINGLE_TAG",
    topicSysFlag: known?.topicSysFlag ?? 0,
    order: flags.order ?? known?.order ?? false,
  };
}

/** Queue numbers per broker of an order topic, kept by the name servers; other brokers' entries stay. */
async function writeOrderConf(admin: AdminClient, flags: WriteFlags, written: Written[]): Promise<void> {
  const entries = new Map<string, string>();
  for (const part of ((await admin.orderConf(flags.topic)) ?? "").split(";")) {
    const colon = part.lastIndexOf(":");
    if (colon > 0) entries.set(part.slice(0, colon), part.slice(colon + 1));
  }
  for (const { broker, config } of written) entries.set(broker, String(config.writeQueueNums));
  const orderConf = [...entries].map(([broker, nums]) => `${broker}:${nums}`).join(";");
  await admin.putOrderConf(flags.topic, orderConf);
  if (!flags.json) say(`order of queues: ${orderConf}`);
}

function writtenText({ broker, address, created, config }: Written): string {
  const { readQueueNums, writeQueueNums, perm, order, topicName } = config;
  return `${created ? "created" : "updated"} ${topicName} on ${broker} (${address}): ${readQueueNums} read queues, ${writeQueueNums} write queues, perm ${permText(perm)}${order ? ", ordered" : ""}`;
}

function permText(perm: number): string {
  return `${perm & 4 ? "r" : "-"}${perm & 2 ? "w" : "-"}`;
}

/** The brokers that --broker or --cluster mean. Throws UsageError where neither is given and there is a choice. */
async function targets(
  admin: AdminClient,
  flags: { broker?: string | undefined; cluster?: string | undefined },
): Promise<Master[]> {
  if (flags.broker !== undefined && flags.cluster !== undefined)
    throw new UsageError("give --broker or --cluster, not both");
  const masters = await admin.masters(flags.cluster);
  if (flags.broker !== undefined) {
    const known = masters.find(({ address }) => address === flags.broker);
    return [known ?? { brokerName: flags.broker, cluster: "", address: flags.broker }];
  }
  const clusters = new Set(masters.map(({ cluster }) => cluster));
  if (clusters.size > 1)
    throw new UsageError(`say where: --cluster is one of ${[...clusters].sort().join(", ")}, or give --broker`);
  if (masters.length === 0) {
    throw new MqError(
      `find a broker: ${admin.nameServers.addresses.join(";")} knows no master; start one with: mq broker`,
    );
  }
  return masters;
}

const deleteSchema = v.object({ ...common, topic: topicFlag, cluster: v.optional(v.string()) });

const remove = defineCommand({
  meta: { name: "delete", description: "Delete a topic on its brokers and in the name servers" },
  args: {
    ...commonArgs,
    topic: topicArg,
    cluster: { ...clusterArg, description: "Only on this cluster (default: wherever the topic is)" },
  },
  async run({ args }) {
    const flags = parseFlags(deleteSchema, args);
    await withAdmin(flags.namesrv, async (admin) => {
      const route = await admin.topicRoute(flags.topic);
      if (route === undefined) throw admin.noRoute(flags.topic);
      const owners = new Set(route.queueDatas.map(({ brokerName }) => brokerName));
      const masters = (await admin.masters(flags.cluster)).filter(({ brokerName }) => owners.has(brokerName));
      for (const { address } of masters) await admin.deleteTopicInBroker(address, flags.topic);
      const clusters = [...new Set(masters.map(({ cluster }) => cluster))];
      for (const cluster of clusters) await admin.deleteTopicInNameServers(flags.topic, cluster);
      if (flags.json) printJson({ topic: flags.topic, brokers: masters.map(({ brokerName }) => brokerName), clusters });
      else
        print(
          `deleted ${flags.topic} on ${masters.map(({ brokerName }) => brokerName).join(", ")} and in the name servers`,
        );
    });
  },
});

const oneTopicSchema = v.object({ ...common, topic: topicFlag });

const route = defineCommand({
  meta: { name: "route", description: "Brokers and queues of a topic, as clients see them" },
  args: { ...commonArgs, topic: topicArg },
  async run({ args }) {
    const flags = parseFlags(oneTopicSchema, args);
    await withAdmin(flags.namesrv, async (admin) => {
      const found = await admin.topicRoute(flags.topic);
      if (found === undefined) throw admin.noRoute(flags.topic);
      if (flags.json) printJson(jsonRoute(flags.topic, found));
      else printRoute(found);
    });
  },
});

function jsonRoute(topic: string, found: TopicRouteData): unknown {
  return {
    topic,
    orderTopicConf: found.orderTopicConf,
    queueDatas: found.queueDatas,
    brokerDatas: found.brokerDatas.map((broker) => ({
      ...broker,
      brokerAddrs: Object.fromEntries(broker.brokerAddrs),
    })),
  };
}

function printRoute(found: TopicRouteData): void {
  const rows = found.queueDatas.map((queues) => {
    const broker = found.brokerDatas.find(({ brokerName }) => brokerName === queues.brokerName);
    const addresses = [...(broker?.brokerAddrs ?? [])]
      .sort((a, b) => a[0] - b[0])
      .map(([id, address]) => `${id}=${address}`);
    return [
      broker?.cluster ?? "",
      queues.brokerName,
      queues.readQueueNums,
      queues.writeQueueNums,
      permText(queues.perm),
      addresses.join(" "),
    ];
  });
  printTable(["CLUSTER", "BROKER", "READ", "WRITE", "PERM", "ADDRESSES"], rows);
  if (found.orderTopicConf !== undefined) print(`ordered: ${found.orderTopicConf}`);
}

const status = defineCommand({
  meta: { name: "status", description: "Offsets and last store time of every queue" },
  args: { ...commonArgs, topic: topicArg },
  async run({ args }) {
    const flags = parseFlags(oneTopicSchema, args);
    await withAdmin(flags.namesrv, async (admin) => {
      const { queues, putTps } = await admin.topicStatus(flags.topic);
      const rows = queues.map(({ queue, ...offsets }) => ({
        brokerName: queue.brokerName,
        queueId: queue.queueId,
        ...offsets,
      }));
      const messages = rows.reduce((sum, { maxOffset, minOffset }) => sum + maxOffset - minOffset, 0);
      if (flags.json) return printJson({ topic: flags.topic, messages, putTps, queues: rows });
      printTable(
        ["BROKER", "QUEUE", "MIN", "MAX", "LAST STORED"],
        rows.map((row) => [
          row.brokerName,
          row.queueId,
          row.minOffset,
          row.maxOffset,
          timeText(row.lastUpdateTimestamp),
        ]),
      );
      return print(`${messages} messages in ${rows.length} queues, ${putTps.toFixed(1)} stored a second`);
    });
  },
});

/** Local time as mqadmin prints it; - for none. */
function timeText(ms: number): string {
  if (ms <= 0) return "-";
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 23).replace("T", " ");
}

export const topicCommand = defineCommand({
  meta: { name: "topic", description: "List, create, change, delete and inspect topics" },
  subCommands: { list, create, update, delete: remove, route, status },
});
