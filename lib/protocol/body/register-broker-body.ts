import { inflateSync } from "node:zlib";
import * as v from "valibot";
import { FastjsonError, parseFastjson } from "../../base/fastjson.ts";
import { integer, parseBody, text } from "./tolerant.ts";

/** [DataVersion] Equal when all three are. */
export interface DataVersion {
  stateVersion: number;
  timestamp: number;
  counter: number;
}

/** What a name server keeps of one topic of a broker. */
export interface RegisteredTopic {
  topicName: string;
  readQueueNums: number;
  writeQueueNums: number;
  perm: number;
  topicSysFlag: number;
}

/** [RegisterBrokerBody] Body of REGISTER_BROKER. */
export interface RegisterBrokerBody {
  dataVersion: DataVersion;
  topics: RegisteredTopic[];
  /** undefined when the peer says nothing about them. */
  filterServers: string[] | undefined;
  /** [TopicQueueMappingInfo] of static topics by topic, as they came. */
  mappings: Map<string, Record<string, unknown>>;
}

/** First version that sends RegisterBrokerBody; older ones send the topics alone [MQVersion]. */
const VERSION_V3_0_11 = 37;
/** First version whose compressed body ends with the mappings of static topics. */
const VERSION_V5_0_0 = 413;
/** No JSON begins with it. */
const ZLIB_FIRST_BYTE = 0x78;
const INFLATED_BYTES_MAX = 256 * 1024 * 1024;
const QUEUES_DEFAULT = 16;
const PERM_DEFAULT = 6;

const dataVersionSchema = v.object({
  stateVersion: v.nullish(integer, 0),
  timestamp: v.nullish(integer, 0),
  counter: v.nullish(integer, 0),
});

/** Reads a DataVersion alone. Throws an error that names the field. */
export function decodeDataVersion(body: Uint8Array | undefined): DataVersion {
  return parseBody(dataVersionSchema, body, "a data version");
}

export function sameDataVersion(a: DataVersion, b: DataVersion): boolean {
  return a.stateVersion === b.stateVersion && a.timestamp === b.timestamp && a.counter === b.counter;
}

/** Reads any form of the body by the sender's version and header. Throws an error that says what is wrong with it. */
export function decodeRegisterBrokerBody(
  body: Buffer | undefined,
  compressed: boolean,
  version: number,
): RegisterBrokerBody {
  if (body === undefined || body.length === 0)
    return {
      dataVersion: { stateVersion: 0, timestamp: 0, counter: 0 },
      topics: [],
      filterServers: [],
      mappings: new Map(),
    };
  const known = version < 0 ? VERSION_V3_0_11 : version;
  try {
    if (known < VERSION_V3_0_11) return fromWrapper(record(parseFastjson(body), "the body"), undefined);
    // Java's brokers with compressedRegister=true compress and say that they did not.
    if (compressed || body[0] === ZLIB_FIRST_BYTE) return decodeCompressed(inflate(body), known >= VERSION_V5_0_0);
    const parsed = record(parseFastjson(body), "the body");
    const wrapper = record(parsed.topicConfigSerializeWrapper ?? {}, "topicConfigSerializeWrapper");
    return fromWrapper(wrapper, filterServers(parsed.filterServerList));
  } catch (error) {
    if (error instanceof v.ValiError || error instanceof FastjsonError || error instanceof RangeError)
      throw new Error(error.message);
    throw error;
  }
}

/** [TopicConfigSerializeWrapper], [TopicConfigAndMappingSerializeWrapper] */
function fromWrapper(wrapper: Record<string, unknown>, servers: string[] | undefined): RegisterBrokerBody {
  const mappings = new Map<string, Record<string, unknown>>();
  for (const [topic, info] of entries(wrapper.topicQueueMappingInfoMap)) mappings.set(topic, record(info, topic));
  return {
    dataVersion: v.parse(dataVersionSchema, wrapper.dataVersion ?? {}),
    topics: entries(wrapper.topicConfigTable).map(([name, topic]) => registeredTopic(name, record(topic, name))),
    filterServers: servers,
    mappings,
  };
}

/** A table of tens of thousands of topics: plain numbers take no schema. */
function registeredTopic(name: string, topic: Record<string, unknown>): RegisteredTopic {
  return {
    topicName: typeof topic.topicName === "string" ? topic.topicName : name,
    readQueueNums: int(topic.readQueueNums, QUEUES_DEFAULT),
    writeQueueNums: int(topic.writeQueueNums, QUEUES_DEFAULT),
    perm: int(topic.perm, PERM_DEFAULT),
    topicSysFlag: int(topic.topicSysFlag, 0),
  };
}

function int(value: unknown, otherwise: number): number {
  if (value === undefined || value === null) return otherwise;
  return Number.isInteger(value) ? (value as number) : v.parse(integer, value);
}

function entries(value: unknown): [string, unknown][] {
  if (value === undefined || value === null) return [];
  return value instanceof Map
    ? [...value].map(([key, item]) => [String(key), item])
    : Object.entries(record(value, "a table"));
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  const found = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
  throw new Error(`${what} is ${found}, want an object`);
}

function filterServers(value: unknown): string[] | undefined {
  return value === undefined || value === null ? undefined : v.parse(v.array(text), value);
}

function inflate(body: Buffer): Buffer {
  try {
    return inflateSync(body, { maxOutputLength: INFLATED_BYTES_MAX });
  } catch (error) {
    throw new Error(`inflate ${body.length} bytes`, { cause: error });
  }
}

/**
 * int32 length + DataVersion JSON; int32 count, per topic int32 length + `name read write perm SINGLE_TAG {attributes}`; int32 length +
 * JSON list of filter servers; from 5.0 on int32 count, per mapping int32 length + JSON [RegisterBrokerBody#encode].
 */
function decodeCompressed(bytes: Buffer, withMappings: boolean): RegisterBrokerBody {
  const reader = new ByteReader(bytes);
  const dataVersion = v.parse(dataVersionSchema, parseFastjson(reader.text()));
  const topics: RegisteredTopic[] = [];
  for (let left = reader.count(); left > 0; left--) {
    const [topicName = "", readQueueNums, writeQueueNums, perm, filterType] = reader.text().split(" ");
    if (filterType === undefined) throw new Error(`topic "${topicName}" has too few fields, want at least 5`);
    topics.push({
      topicName,
      readQueueNums: int(readQueueNums, QUEUES_DEFAULT),
      writeQueueNums: int(writeQueueNums, QUEUES_DEFAULT),
      perm: int(perm, PERM_DEFAULT),
      topicSysFlag: 0,
    });
  }
  const servers = filterServers(parseFastjson(reader.text()));
  const mappings = new Map<string, Record<string, unknown>>();
  for (let left = withMappings ? reader.count() : 0; left > 0; left--) {
    const info = record(parseFastjson(reader.text()), "a mapping");
    mappings.set(String(info.topic), info);
  }
  return { dataVersion, topics, filterServers: servers, mappings };
}

class ByteReader {
  #at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** A count of items of at least 4 bytes each. */
  count(): number {
    const count = this.#int();
    if (count < 0 || count > (this.#bytes.length - this.#at) / 4) throw this.#error(`count ${count}`);
    return count;
  }

  text(): string {
    const length = this.#int();
    if (length < 0 || length > this.#bytes.length - this.#at) throw this.#error(`length ${length}`);
    const start = this.#at;
    this.#at += length;
    return this.#bytes.toString("utf8", start, this.#at);
  }

  #int(): number {
    if (this.#bytes.length - this.#at < 4) throw this.#error("its end");
    const value = this.#bytes.readInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  #error(found: string): Error {
    return new Error(`found ${found} at byte ${this.#at} of ${this.#bytes.length}`);
  }
}
