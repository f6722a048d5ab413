import { stringifyFastjson } from "../../base/fastjson.ts";
import { javaHashCode } from "../../base/java.ts";

export type ConsumeType = "CONSUME_ACTIVELY" | "CONSUME_PASSIVELY";
export type MessageModel = "BROADCASTING" | "CLUSTERING";
export type ConsumeFromWhere = "CONSUME_FROM_LAST_OFFSET" | "CONSUME_FROM_FIRST_OFFSET" | "CONSUME_FROM_TIMESTAMP";

/** What a consumer wants of one topic [SubscriptionData], as heartbeats, running infos and pulls carry it. */
export interface Subscription {
  topic: string;
  subString: string;
  /** Tags wanted; none: all. */
  tagsSet: string[];
  /** Java hash codes of the tags, what the broker compares. */
  codeSet: number[];
  /** ms since the epoch; grows with every change. */
  subVersion: number;
  expressionType: string;
  classFilterMode: boolean;
}

/** [ConsumerData] */
export interface ConsumerData {
  groupName: string;
  consumeType: ConsumeType;
  messageModel: MessageModel;
  consumeFromWhere: ConsumeFromWhere;
  subscriptionDataSet: readonly Subscription[];
  unitMode: boolean;
}

/** [HeartbeatData] in its V1 form: fingerprint 0. */
export interface HeartbeatData {
  clientID: string;
  producerGroups: readonly string[];
  consumers: readonly ConsumerData[];
}

export function encodeHeartbeatData(heartbeat: HeartbeatData): string {
  return stringifyFastjson({
    clientID: heartbeat.clientID,
    consumerDataSet: heartbeat.consumers,
    heartbeatFingerprint: 0,
    producerDataSet: heartbeat.producerGroups.map((groupName) => ({ groupName })),
    withoutSub: false,
  });
}

/** [FilterAPI#buildSubscriptionData] `*`, or tags joined by `||`; SQL92 keeps its text. */
export function buildSubscription(topic: string, expression: string, expressionType = "TAG"): Subscription {
  const subString = expression.trim() === "" ? "*" : expression;
  const tagsSet =
    expressionType !== "TAG" || subString === "*"
      ? []
      : [...new Set(subString.split("||").map((tag) => tag.trim()))].filter((tag) => tag !== "");
  return {
    topic,
    subString,
    tagsSet,
    codeSet: tagsSet.map((tag) => javaHashCode(tag)),
    subVersion: Date.now(),
    expressionType,
    classFilterMode: false,
  };
}
