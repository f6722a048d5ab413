import { errorText } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { publishQueues } from "../../client/route.ts";
import { PropertyName, propertiesToBytes } from "../../message/properties.ts";
import { decodeTopicRouteData, type TopicRouteData } from "../../protocol/body/topic-route-data.ts";
import { createRemotingClient } from "../../remoting/client.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { RemotingClient } from "../../remoting/types.ts";
import type { StoredMessage } from "../stored-message.ts";
import { MASTER_ID } from "../types.ts";

const SEND_TIMEOUT_MS = 3_000;
const ROUTE_TIMEOUT_MS = 3_000;
/** A route is asked for again after this, as clients do. */
const ROUTE_AGE_MS = 30_000;
/** Beyond it all routes before are forgotten. */
const ROUTES_MAX = 1_000;
const DEFAULT_TOPIC = "TBW102";
const DEFAULT_QUEUES = 8;

/** Answers that mean that another broker has the message [EscapeBridge#transformSendResult2PutResult]. */
const TAKEN: ReadonlySet<number> = new Set([
  ResponseCode.SUCCESS,
  ResponseCode.FLUSH_DISK_TIMEOUT,
  ResponseCode.FLUSH_SLAVE_TIMEOUT,
  ResponseCode.SLAVE_NOT_AVAILABLE,
]);

export interface EscapeBridgeOptions {
  readonly brokerName: string;
  readonly brokerId: number;
  readonly nameServers: () => readonly string[];
  readonly logger: Logger;
}

interface KnownRoute {
  route: TopicRouteData;
  until: number;
}

/**
 * Where an acting master puts what it must not write into its own log, which stays a copy of the master's: with another master that
 * has the topic [EscapeBridge].
 */
export class EscapeBridge {
  readonly #options: EscapeBridgeOptions;
  readonly #client: RemotingClient = createRemotingClient();
  readonly #routes = new Map<string, KnownRoute>();
  #next = 0;

  constructor(options: EscapeBridgeOptions) {
    this.#options = options;
  }

  /** Sends a message with these properties to some queue of `topic`; why that failed, undefined when another broker has it. */
  async put(message: StoredMessage, properties: Record<string, string>, topic: string): Promise<string | undefined> {
    try {
      const place = await this.#choose(topic);
      if (place === undefined) {
        this.#routes.delete(topic);
        return `no other master has topic ${topic}`;
      }
      const response = await this.#client.invoke(
        place.address,
        {
          code: RequestCode.SEND_MESSAGE,
          ext: {
            producerGroup: properties[PropertyName.PGROUP] ?? this.#producerGroup(),
            topic,
            defaultTopic: DEFAULT_TOPIC,
            defaultTopicQueueNums: DEFAULT_QUEUES,
            queueId: place.queueId,
            sysFlag: message.sysFlag,
            bornTimestamp: message.bornTimestamp,
            flag: message.flag,
            properties: propertiesToBytes(properties).toString("utf8"),
            reconsumeTimes: message.reconsumeTimes,
            unitMode: false,
            batch: false,
          },
          body: message.body,
        },
        SEND_TIMEOUT_MS,
      );
      if (TAKEN.has(response.code)) return undefined;
      this.#routes.delete(topic);
      return `${place.brokerName} (${place.address}) answers ${response.code}: ${response.remark ?? ""}`;
    } catch (error) {
      this.#routes.delete(topic);
      return errorText(error);
    }
  }

  shutdown(): Promise<void> {
    return this.#client.close();
  }

  #producerGroup(): string {
    return `InnerProducerGroup_${this.#options.brokerName}_${this.#options.brokerId}`;
  }

  /** Queues of other brokers in turn. */
  async #choose(topic: string): Promise<{ brokerName: string; queueId: number; address: string } | undefined> {
    const route = await this.#route(topic);
    if (route === undefined) return undefined;
    const { queues } = publishQueues(topic, route);
    const others = queues.filter(({ brokerName }) => brokerName !== this.#options.brokerName);
    if (others.length === 0) return undefined;
    const { brokerName, queueId } = others[this.#next++ % others.length]!;
    const broker = route.brokerDatas.find((data) => data.brokerName === brokerName);
    const address = broker?.brokerAddrs.get(MASTER_ID);
    return address === undefined ? undefined : { brokerName, queueId, address };
  }

  async #route(topic: string): Promise<TopicRouteData | undefined> {
    const known = this.#routes.get(topic);
    if (known !== undefined && Date.now() < known.until) return known.route;
    let failure: unknown;
    for (const address of this.#options.nameServers()) {
      try {
        const request = { code: RequestCode.GET_ROUTEINFO_BY_TOPIC, ext: { topic, acceptStandardJsonOnly: true } };
        const response = await this.#client.invoke(address, request, ROUTE_TIMEOUT_MS);
        if (response.code !== ResponseCode.SUCCESS) continue;
        const route = decodeTopicRouteData(response.body);
        if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
        this.#routes.set(topic, { route, until: Date.now() + ROUTE_AGE_MS });
        return route;
      } catch (error) {
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  }
}
