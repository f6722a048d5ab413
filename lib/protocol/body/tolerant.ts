import * as v from "valibot";
import { parseFastjson } from "../../base/fastjson.ts";

/**
 * Building blocks for reading the JSON of RocketMQ peers: numbers and booleans may come as text, maps as objects or, with
 * keys that are no strings, as Map. Unknown fields are ignored everywhere.
 */

export const integer = v.pipe(
  v.union([v.number(), v.bigint(), v.string()]),
  v.transform(Number),
  v.number("wants an integer"),
  v.integer(),
);

export const decimal = v.pipe(v.union([v.number(), v.bigint(), v.string()]), v.transform(Number), v.number());

export const text = v.pipe(v.union([v.string(), v.number(), v.bigint(), v.boolean()]), v.transform(String));

export const flag = v.pipe(
  v.union([v.boolean(), v.string(), v.number()]),
  v.transform((value) => value === true || value === 1 || value === "true"),
);

/** Map or object, as Map with text keys; absent: empty. */
export function mapOf<T extends v.GenericSchema>(value: T) {
  return v.nullish(
    v.pipe(
      v.union([v.instance(Map), v.record(v.string(), v.unknown())]),
      v.transform((map) => mapEntries(map)),
      v.array(v.tuple([v.string(), value])),
      v.transform((entries): Map<string, v.InferOutput<T>> => new Map(entries as [string, v.InferOutput<T>][])),
    ),
    () => ({}),
  );
}

function mapEntries(map: Map<unknown, unknown> | Record<string, unknown>): [string, unknown][] {
  const entries = map instanceof Map ? [...map] : Object.entries(map);
  return entries.map(([key, value]) => [typeof key === "string" ? key : String(key), value]);
}

/** [MessageQueue] as an object, or as the text of a map's key. */
export const messageQueue = v.pipe(
  v.unknown(),
  v.transform((value) => (typeof value === "string" ? parseFastjson(value) : value)),
  v.object({ topic: text, brokerName: text, queueId: integer }),
);

type QueueEntry<T extends v.GenericSchema> = [v.InferOutput<typeof messageQueue>, v.InferOutput<T>];

/** Map whose keys are message queues, as a list of pairs; absent: empty. */
export function messageQueueMapOf<T extends v.GenericSchema>(value: T) {
  return v.nullish(
    v.pipe(
      v.union([v.instance(Map), v.record(v.string(), v.unknown())]),
      v.transform((map): QueueEntry<T>[] =>
        mapEntries(map).map(([key, item]) => [v.parse(messageQueue, key), v.parse(value, item)]),
      ),
    ),
    () => ({}),
  );
}

/** Parses a peer's JSON body against `schema`; the error names `what` and the offending field. */
export function parseBody<T extends v.GenericSchema>(
  schema: T,
  body: Uint8Array | undefined,
  what: string,
): v.InferOutput<T> {
  try {
    return v.parse(schema, body === undefined ? undefined : parseFastjson(body));
  } catch (error) {
    if (!(error instanceof v.ValiError)) throw new Error(`read ${what}`, { cause: error });
    const path = v.getDotPath(error.issues[0]);
    throw new Error(`read ${what}: ${path === null ? "" : `${path}: `}${error.message}`);
  }
}
