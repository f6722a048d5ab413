/**
 * Topic and group attributes. Requests carry changes as `+key=value` and `-key`; the stored form has plain keys
 * [AttributeUtil, TopicAttributes].
 */
interface Attribute {
  /** An attribute that is not changeable can only be given when the topic is created. */
  changeable: boolean;
  /** Why the value is refused, undefined when it is good. */
  fault(value: string): string | undefined;
}

function oneOf(values: readonly string[], changeable: boolean): Attribute {
  return {
    changeable,
    fault: (value) => (values.includes(value) ? undefined : `value is not in set: [${values.join(", ")}]`),
  };
}

const LONG_MAX = 9223372036854775807n;

const reserveTime: Attribute = {
  changeable: true,
  fault(value) {
    const inRange = /^-?\d{1,19}$/.test(value) && BigInt(value) >= -1n && BigInt(value) <= LONG_MAX;
    return inRange ? undefined : `value is not in range(-1, ${LONG_MAX})`;
  },
};

export const TOPIC_MESSAGE_TYPES = ["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED"] as const;

export const TOPIC_ATTRIBUTES: ReadonlyMap<string, Attribute> = new Map([
  ["queue.type", oneOf(["BatchCQ", "SimpleCQ"], false)],
  ["cleanup.policy", oneOf(["DELETE", "COMPACTION"], false)],
  ["message.type", oneOf(TOPIC_MESSAGE_TYPES, true)],
  ["reserve.time", reserveTime],
]);

/** Groups have no attributes in this version [SubscriptionGroupAttributes]. */
export const GROUP_ATTRIBUTES: ReadonlyMap<string, Attribute> = new Map();

/** Splits `+k1=v1,+k2=v2,-k3` into prefixed keys and values [AttributeParser#parseToMap]. Throws Error in RocketMQ's words. */
export function parseAttributes(text: string | undefined): Record<string, string> {
  const parsed: Record<string, string> = {};
  if (text === undefined || text === "") return parsed;
  for (const part of text.split(",")) {
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    if (equals >= 0 && !key.includes("+")) throw new Error(`add/alter attribute format is wrong: ${key}`);
    if (equals < 0 && !key.includes("-")) throw new Error(`delete attribute format is wrong: ${key}`);
    if (key in parsed) throw new Error(`key duplication: ${key}`);
    parsed[key] = equals < 0 ? "" : part.slice(equals + 1);
  }
  return parsed;
}

/**
 * The attributes after the changes [AttributeUtil#alterCurrentAttributes]. Keys of `changes` carry `+` or `-`.
 * Throws Error in RocketMQ's words and leaves `current` alone.
 */
export function alterAttributes(
  create: boolean,
  known: ReadonlyMap<string, Attribute>,
  current: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string>>,
): Record<string, string> {
  const altered: Record<string, string> = { ...current };
  const seen = new Set<string>();
  for (const [prefixed, value] of Object.entries(changes)) {
    const key = prefixed.slice(1);
    if (key === "" || key.includes("+") || key.includes("-")) throw new Error("kv string format wrong.");
    if (seen.has(key)) throw new Error(`alter duplication key. key: ${key}`);
    seen.add(key);
    const add = prefixed.startsWith("+");
    if (create && !add) throw new Error(`only add attribute is supported while creating topic. key: ${key}`);
    if (!add && !prefixed.startsWith("-")) throw new Error(`wrong format key: ${key}`);
    if (!add && !(key in current)) throw new Error(`attempt to delete a nonexistent key: ${key}`);
    const attribute = known.get(key);
    if (attribute === undefined) throw new Error(`unsupported key: ${key}`);
    if (!create && !attribute.changeable) throw new Error(`attempt to update an unchangeable attribute. key: ${key}`);
    if (!add) {
      delete altered[key];
      continue;
    }
    const fault = attribute.fault(value);
    if (fault !== undefined) throw new Error(fault);
    altered[key] = value;
  }
  return altered;
}
