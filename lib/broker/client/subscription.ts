import * as v from "valibot";
import { javaHashCode } from "../../base/java.ts";
import type { MessageFilter } from "../../store/types.ts";
import type { SubscriptionData } from "../types.ts";

/** Bounds on what one heartbeat may bring; a client beyond them is refused, not cut short. */
export const TAGS_PER_SUBSCRIPTION_MAX = 4096;
export const SUBSCRIPTIONS_PER_GROUP_MAX = 4096;

const text = v.union([v.string(), v.pipe(v.union([v.number(), v.boolean(), v.bigint()]), v.transform(String))]);
const optionalText = v.nullish(text, "");
const integer = v.pipe(
  v.union([v.number(), v.bigint(), v.string()]),
  v.transform(Number),
  v.check((value) => Number.isFinite(value), "a number is wanted"),
);
const flag = v.nullish(
  v.union([
    v.boolean(),
    v.pipe(
      v.union([v.string(), v.number()]),
      v.transform((value) => `${value}` === "true" || value === 1),
    ),
  ]),
  false,
);

/** [SubscriptionData] as clients of every language send it: sets may be missing or null, numbers may be strings. */
export const subscriptionSchema = v.pipe(
  v.object({
    topic: v.pipe(text, v.maxLength(255)),
    subString: optionalText,
    tagsSet: v.nullish(v.pipe(v.array(text), v.maxLength(TAGS_PER_SUBSCRIPTION_MAX)), []),
    codeSet: v.nullish(v.pipe(v.array(integer), v.maxLength(TAGS_PER_SUBSCRIPTION_MAX)), []),
    subVersion: v.nullish(integer, 0),
    expressionType: v.nullish(text, "TAG"),
    classFilterMode: flag,
  }),
  v.transform((raw): SubscriptionData => ({ ...raw, codeSet: new Set(raw.codeSet.map((code) => code | 0)) })),
);

export { flag as flagSchema, integer as integerSchema, text as textSchema };

/** Empty, null and TAG mean tags [ExpressionType#isTagType]. */
export function isTagType(expressionType: string): boolean {
  return expressionType === "" || expressionType === "TAG";
}

/** Parses `a || b` [FilterAPI#buildSubscriptionData]. Throws a plain Error when nothing is left of a non-empty text. */
export function buildSubscription(
  topic: string,
  subString: string,
  expressionType: string,
  subVersion: number,
): SubscriptionData {
  const data: SubscriptionData = {
    topic,
    subString: subString === "" ? "*" : subString,
    tagsSet: [],
    codeSet: new Set(),
    subVersion,
    expressionType: expressionType === "" ? "TAG" : expressionType,
    classFilterMode: false,
  };
  if (!isTagType(data.expressionType) || data.subString === "*") return data;
  const parts = data.subString.split("||");
  for (const part of parts) {
    const tag = part.trim();
    if (tag === "") continue;
    data.tagsSet.push(tag);
    data.codeSet.add(javaHashCode(tag));
  }
  if (data.tagsSet.length > TAGS_PER_SUBSCRIPTION_MAX) {
    throw new Error(`subscription names ${data.tagsSet.length} tags, at most ${TAGS_PER_SUBSCRIPTION_MAX} are taken`);
  }
  if (parts.every((part) => part === "")) throw new Error("subString split error");
  return data;
}

const filters = new WeakMap<SubscriptionData, MessageFilter>();

/** The tag-hash stage of a subscription; undefined when every message matches. */
export function tagFilter(data: SubscriptionData): MessageFilter | undefined {
  if (data.classFilterMode || data.subString === "*" || data.subString === "") return undefined;
  let filter = filters.get(data);
  if (filter === undefined) {
    const { codeSet } = data;
    filter = { isMatchedByConsumeQueue: (tagsCode) => codeSet.has(tagsCode | 0) };
    filters.set(data, filter);
  }
  return filter;
}

/** Same topic, same expression: what two members of a group must agree on. */
export function sameExpression(a: SubscriptionData, b: SubscriptionData): boolean {
  return a.subString === b.subString && a.expressionType === b.expressionType;
}
