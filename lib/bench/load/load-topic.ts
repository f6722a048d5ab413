import { MqError } from "../../base/errors.ts";
import { AdminClient } from "../../client/admin/admin-client.ts";
import type { Credentials } from "../../client/credentials.ts";
import { RequestCode } from "../../remoting/codes.ts";
import { type BrokerFacts, describeBrokers, splitAddress } from "../cluster-facts.ts";
import type { LoadQueue } from "./plan.ts";
import { retryTopicOf } from "./send-back.ts";

/** Topics that a benchmark made; any other needs `force` before it is sent to. */
const OWN_PREFIX = "mq-bench-";
const OWN_GROUP = "mq-bench";
const READ = 4;
const WRITE = 2;
const READ_WRITE = READ | WRITE;
const ROUTE_MS = 10_000;
const LOOK_MS = 100;

export interface LoadTopicOptions {
  namesrvAddr: string;
  /** undefined: a new one of this run's own. */
  topic: string | undefined;
  cluster: string | undefined;
  /** Queues on each broker, where the topic is made. */
  queues: number;
  /** Where consuming begins. */
  from: "first" | "last";
  /** Nothing is sent: the topic must be there, and is nobody's to protect. */
  readOnly: boolean;
  force: boolean;
  run: string;
  credentials?: Credentials | undefined;
}

/** The topic that a load goes to, with its queues and the brokers that have them. */
export class LoadTopic {
  readonly name: string;
  readonly queues: readonly LoadQueue[];
  readonly brokers: readonly BrokerFacts[];
  readonly #admin: AdminClient;
  readonly #made: boolean;

  private constructor(
    name: string,
    queues: readonly LoadQueue[],
    brokers: readonly BrokerFacts[],
    admin: AdminClient,
    made: boolean,
  ) {
    this.name = name;
    this.queues = queues;
    this.brokers = brokers;
    this.#admin = admin;
    this.#made = made;
  }

  /**
   * Finds the topic or makes it on every master. Throws MqError for a topic that somebody else made, unless `force`, and what the
   * admin client throws.
   */
  static async open(options: LoadTopicOptions): Promise<LoadTopic> {
    const name = options.topic ?? `${OWN_PREFIX}${options.run.slice(-8)}`;
    const admin = new AdminClient({ namesrvAddr: options.namesrvAddr, credentials: options.credentials });
    try {
      const brokers = await describeBrokers("", options.namesrvAddr, options.cluster, options.credentials);
      if (brokers.length === 0) throw new MqError(`find a broker: ${options.namesrvAddr} knows no master`);
      const there = (await admin.topicRoute(name)) !== undefined;
      if (!there && options.readOnly) throw admin.noRoute(name);
      if (there && !options.readOnly && !name.startsWith(OWN_PREFIX) && !options.force)
        throw new MqError(
          `send to topic "${name}": it is there already and no benchmark made it; --force sends all the same`,
        );
      if (!there) await make(admin, name, brokers, options.queues);
      const queues = await queuesOf(admin, name, brokers, options);
      return new LoadTopic(name, queues, brokers, admin, !there);
    } catch (error) {
      await admin.close();
      throw error;
    }
  }

  /**
   * Deletes the topic where this run made it, and the benchmark's own consumer groups with their retry topics, unless they are to be
   * kept. Gives the topic that could not be deleted.
   */
  async close(keep: boolean, groups: readonly string[] = []): Promise<string | undefined> {
    try {
      if (!keep) for (const group of groups) if (group.startsWith(OWN_GROUP)) await this.#deleteGroup(group);
      if (!this.#made || keep) return undefined;
      for (const { address } of this.brokers) await this.#admin.deleteTopicInBroker(address, this.name);
      for (const cluster of new Set(this.brokers.map((broker) => broker.cluster)))
        await this.#admin.deleteTopicInNameServers(this.name, cluster);
      return undefined;
    } catch {
      return this.name;
    } finally {
      await this.#admin.close();
    }
  }

  /** What is not there any more, or cannot be asked for, is no trouble: groups are made by whoever pulls. */
  async #deleteGroup(groupName: string): Promise<void> {
    const topic = retryTopicOf(groupName);
    for (const { address, cluster } of this.brokers)
      try {
        const request = { code: RequestCode.DELETE_SUBSCRIPTIONGROUP, ext: { groupName, cleanOffset: true } };
        await this.#admin.call(address, request, `delete group "${groupName}"`);
        await this.#admin.deleteTopicInBroker(address, topic);
        await this.#admin.deleteTopicInNameServers(topic, cluster);
      } catch {
        // The next broker may have it still.
      }
  }
}

async function make(admin: AdminClient, topicName: string, brokers: readonly BrokerFacts[], queues: number) {
  for (const { address } of brokers)
    await admin.createTopic(address, {
      topicName,
      readQueueNums: queues,
      writeQueueNums: queues,
      perm: READ_WRITE,
      topicFilterType: "SINGLE_TAG",
      topicSysFlag: 0,
      order: false,
    });
  const end = Date.now() + ROUTE_MS;
  while ((await admin.topicRoute(topicName))?.queueDatas.length !== brokers.length) {
    if (Date.now() > end)
      throw new MqError(`make topic "${topicName}": its route is not with the name servers after ${ROUTE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function queuesOf(
  admin: AdminClient,
  topic: string,
  brokers: readonly BrokerFacts[],
  { from, readOnly }: LoadTopicOptions,
): Promise<LoadQueue[]> {
  const route = await admin.topicRoute(topic);
  const status = await admin.topicStatus(topic);
  const offsets = new Map(
    status.queues.map(({ queue, minOffset, maxOffset }) => [
      `${queue.brokerName}/${queue.queueId}`,
      from === "first" ? minOffset : maxOffset,
    ]),
  );
  const queues: LoadQueue[] = [];
  const refused: string[] = [];
  for (const { brokerName, perm, readQueueNums, writeQueueNums } of route?.queueDatas ?? []) {
    const broker = brokers.find((one) => one.brokerName === brokerName);
    if (broker === undefined) continue;
    if ((perm & (readOnly ? READ : WRITE)) === 0) {
      refused.push(brokerName);
      continue;
    }
    const { host, port } = splitAddress(broker.address);
    for (let queueId = 0; queueId < (readOnly ? readQueueNums : writeQueueNums); queueId++)
      queues.push({ brokerName, host, port, queueId, offset: offsets.get(`${brokerName}/${queueId}`) ?? 0 });
  }
  const action = readOnly ? "read" : "send to";
  if (queues.length === 0 && refused.length > 0)
    throw new MqError(
      `${action} topic "${topic}": ${refused.join(", ")} does not permit it; want perm ${readOnly ? "r" : "w"}`,
    );
  if (queues.length === 0) throw new MqError(`${action} topic "${topic}": no master has a queue of it`);
  return queues;
}
