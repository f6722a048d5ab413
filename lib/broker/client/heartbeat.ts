import * as v from "valibot";
import type { ConsumeType, MessageModel } from "../broker-context.ts";
import type { SubscriptionData } from "../types.ts";
import { GROUPS_PER_CONNECTION_MAX } from "./channel-book.ts";
import {
  flagSchema,
  integerSchema,
  SUBSCRIPTIONS_PER_GROUP_MAX,
  subscriptionSchema,
  textSchema,
} from "./subscription.ts";

const GROUP_LENGTH_MAX = 255;
const CLIENT_ID_LENGTH_MAX = 1024;

export interface ConsumerData {
  groupName: string;
  consumeType: ConsumeType;
  messageModel: MessageModel;
  consumeFromWhere: string;
  subscriptionDataSet: SubscriptionData[];
  unitMode: boolean;
}

export interface HeartbeatData {
  clientID: string;
  consumerDataSet: ConsumerData[];
  producerDataSet: { groupName: string }[];
  heartbeatFingerprint: number;
  withoutSub: boolean;
}

const CONSUME_TYPES = ["CONSUME_ACTIVELY", "CONSUME_PASSIVELY", "CONSUME_POP"] as const;
const MESSAGE_MODELS = ["BROADCASTING", "CLUSTERING"] as const;
const CONSUME_FROM_WHERE = [
  "CONSUME_FROM_LAST_OFFSET",
  "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
  "CONSUME_FROM_MIN_OFFSET",
  "CONSUME_FROM_MAX_OFFSET",
  "CONSUME_FROM_FIRST_OFFSET",
  "CONSUME_FROM_TIMESTAMP",
] as const;

/** A Java enum by name (any case) or ordinal; absent and unknown ones become `otherwise`, as fastjson leaves the default. */
function javaEnum<T extends string>(names: readonly T[], otherwise: T) {
  return v.pipe(
    v.nullish(v.union([v.string(), v.number()]), ""),
    v.transform((value): T => {
      if (typeof value === "number") return names[value] ?? otherwise;
      const wanted = value.toUpperCase();
      return names.find((name) => name === wanted) ?? otherwise;
    }),
  );
}

const groupName = v.pipe(textSchema, v.minLength(1), v.maxLength(GROUP_LENGTH_MAX));

const consumerSchema = v.object({
  groupName,
  consumeType: javaEnum<ConsumeType>(CONSUME_TYPES, "CONSUME_PASSIVELY"),
  messageModel: javaEnum<MessageModel>(MESSAGE_MODELS, "CLUSTERING"),
  consumeFromWhere: javaEnum<string>(CONSUME_FROM_WHERE, "CONSUME_FROM_LAST_OFFSET"),
  subscriptionDataSet: v.nullish(v.pipe(v.array(subscriptionSchema), v.maxLength(SUBSCRIPTIONS_PER_GROUP_MAX)), []),
  unitMode: flagSchema,
});

/** Body of HEART_BEAT [HeartbeatData]. Clients that are not Java leave out the V2 fields. */
export const heartbeatSchema = v.object({
  clientID: v.pipe(textSchema, v.minLength(1), v.maxLength(CLIENT_ID_LENGTH_MAX)),
  consumerDataSet: v.nullish(v.pipe(v.array(consumerSchema), v.maxLength(GROUPS_PER_CONNECTION_MAX)), []),
  producerDataSet: v.nullish(v.pipe(v.array(v.object({ groupName })), v.maxLength(GROUPS_PER_CONNECTION_MAX)), []),
  heartbeatFingerprint: v.nullish(integerSchema, 0),
  withoutSub: flagSchema,
});
