import { parseDecimal } from "../base/bytes.ts";

/** Ends a name [MessageDecoder#NAME_VALUE_SEPARATOR]. */
export const NAME_VALUE_SEPARATOR = 1;
/** Ends a value; the last one may lack it [MessageDecoder#PROPERTY_SEPARATOR]. */
export const PROPERTY_SEPARATOR = 2;

/** Properties that the system itself reads [MessageConst]. The key is our name for the slot, the value RocketMQ's on disk. */
export const PropertyName = {
  KEYS: "KEYS",
  TAGS: "TAGS",
  UNIQ_KEY: "UNIQ_KEY",
  WAIT: "WAIT",
  DELAY: "DELAY",
  RETRY_TOPIC: "RETRY_TOPIC",
  REAL_TOPIC: "REAL_TOPIC",
  REAL_QID: "REAL_QID",
  TRAN_MSG: "TRAN_MSG",
  PGROUP: "PGROUP",
  MIN_OFFSET: "MIN_OFFSET",
  MAX_OFFSET: "MAX_OFFSET",
  ORIGIN_MESSAGE_ID: "ORIGIN_MESSAGE_ID",
  RECONSUME_TIME: "RECONSUME_TIME",
  MSG_REGION: "MSG_REGION",
  TRACE_ON: "TRACE_ON",
  MAX_RECONSUME_TIMES: "MAX_RECONSUME_TIMES",
  CONSUME_START_TIME: "CONSUME_START_TIME",
  INNER_NUM: "INNER_NUM",
  INNER_BASE: "INNER_BASE",
  DUP_INFO: "DUP_INFO",
  CHECK_IMMUNITY_TIME: "CHECK_IMMUNITY_TIME_IN_SECONDS",
  TRAN_PREPARED_QUEUE_OFFSET: "TRAN_PREPARED_QUEUE_OFFSET",
  TRANSACTION_ID: "__transactionId__",
  TRANSACTION_CHECK_TIMES: "TRANSACTION_CHECK_TIMES",
  INSTANCE_ID: "INSTANCE_ID",
  CORRELATION_ID: "CORRELATION_ID",
  REPLY_TO_CLIENT: "REPLY_TO_CLIENT",
  TTL: "TTL",
  ARRIVE_TIME: "ARRIVE_TIME",
  PUSH_REPLY_TIME: "PUSH_REPLY_TIME",
  CLUSTER: "CLUSTER",
  MSG_TYPE: "MSG_TYPE",
  POP_CK: "POP_CK",
  FIRST_POP_TIME: "1ST_POP_TIME",
  SHARDING_KEY: "__SHARDINGKEY",
  INNER_MULTI_DISPATCH: "INNER_MULTI_DISPATCH",
  INNER_MULTI_QUEUE_OFFSET: "INNER_MULTI_QUEUE_OFFSET",
  TIMER_DELAY_SEC: "TIMER_DELAY_SEC",
  TIMER_DELIVER_MS: "TIMER_DELIVER_MS",
  TIMER_DELAY_MS: "TIMER_DELAY_MS",
  TIMER_OUT_MS: "TIMER_OUT_MS",
  BORN_HOST: "__BORNHOST",
  BORN_TIMESTAMP: "BORN_TIMESTAMP",
  CRC32: "__CRC32#",
  DLQ_ORIGIN_TOPIC: "DLQ_ORIGIN_TOPIC",
  DLQ_ORIGIN_MESSAGE_ID: "DLQ_ORIGIN_MESSAGE_ID",
} as const;

type SlotName = keyof typeof PropertyName;

const SLOT_NAMES = Object.keys(PropertyName) as SlotName[];

/** Slot number of each property that `PropertySlots` finds. */
export const PropertySlot = Object.fromEntries(SLOT_NAMES.map((name, slot) => [name, slot])) as Record<
  SlotName,
  number
>;

const NAME_BYTES = SLOT_NAMES.map((name) => Buffer.from(PropertyName[name], "latin1"));
const TABLE_MASK = 1023;

/** Length, first, middle and last byte tell the well-known names apart; what still collides is chained. */
function hashName(buffer: Buffer, start: number, end: number): number {
  const middle = buffer[start + ((end - start) >> 1)]!;
  return ((end - start) * 61 + buffer[start]! * 7 + middle * 31 + buffer[end - 1]! * 17) & TABLE_MASK;
}

/** Slot + 1 by hash, 0 for none; `NEXT` continues a chain the same way. */
const TABLE = new Uint8Array(TABLE_MASK + 1);
const NEXT = new Uint8Array(SLOT_NAMES.length);
NAME_BYTES.forEach((bytes, slot) => {
  const hash = hashName(bytes, 0, bytes.length);
  NEXT[slot] = TABLE[hash]!;
  TABLE[hash] = slot + 1;
});

function slotOf(buffer: Buffer, start: number, end: number): number {
  for (let entry = TABLE[hashName(buffer, start, end)]!; entry !== 0; entry = NEXT[entry - 1]!) {
    const name = NAME_BYTES[entry - 1]!;
    if (name.length !== end - start) continue;
    let i = 0;
    while (i < name.length && name[i] === buffer[start + i]) i++;
    if (i === name.length) return entry - 1;
  }
  return -1;
}

/**
 * Where the well-known properties stand in `name 0x01 value 0x02` bytes, found in one pass without allocation. One instance is
 * reused for all messages of a caller. Reads as Java does [MessageDecoder#string2messageProperties]: an entry without name or
 * value is skipped, of two with one name the later wins.
 */
export class PropertySlots {
  /** Start of each slot's value in `buffer`, -1 when absent. */
  readonly start = new Int32Array(SLOT_NAMES.length);
  readonly end = new Int32Array(SLOT_NAMES.length);
  buffer: Buffer = Buffer.alloc(0);

  constructor() {
    this.start.fill(-1);
  }

  scan(buffer: Buffer, start: number, end: number): void {
    this.buffer = buffer;
    this.start.fill(-1);
    let index = start;
    while (index < end) {
      let separator = -1;
      let i = index;
      for (; i < end; i++) {
        const byte = buffer[i];
        if (byte === PROPERTY_SEPARATOR) break;
        if (byte === NAME_VALUE_SEPARATOR && separator < 0) separator = i;
      }
      if (separator > index && separator < i - 1) this.note(index, separator, i);
      index = i + 1;
    }
  }

  private note(nameStart: number, separator: number, valueEnd: number): void {
    const slot = slotOf(this.buffer, nameStart, separator);
    if (slot < 0) return;
    this.start[slot] = separator + 1;
    this.end[slot] = valueEnd;
  }

  has(slot: number): boolean {
    return this.start[slot]! >= 0;
  }

  text(slot: number): string | undefined {
    const start = this.start[slot]!;
    return start < 0 ? undefined : this.buffer.toString("utf8", start, this.end[slot]!);
  }

  /** Decimal value as Integer.parseInt reads it; `otherwise` when absent or no such number. */
  int(slot: number, otherwise: number): number {
    const start = this.start[slot]!;
    if (start < 0) return otherwise;
    const value = parseDecimal(this.buffer, start, this.end[slot]!);
    return value >= -2147483648 && value <= 2147483647 ? value : otherwise;
  }

  /** Boolean.parseBoolean: "true" in any case; `otherwise` only when absent. */
  bool(slot: number, otherwise: boolean): boolean {
    const start = this.start[slot]!;
    if (start < 0) return otherwise;
    if (this.end[slot]! - start !== 4) return false;
    for (let i = 0; i < 4; i++) if ((this.buffer[start + i]! | 0x20) !== TRUE[i]) return false;
    return true;
  }
}

const TRUE = Buffer.from("true", "latin1");

/** Properties as an object without prototype; of two entries with one name the later wins. */
export function propertiesToMap(source: string | Buffer, start = 0, end = source.length): Record<string, string> {
  const text = typeof source === "string" ? source.slice(start, end) : source.toString("utf8", start, end);
  const map: Record<string, string> = Object.create(null);
  let index = 0;
  while (index < text.length) {
    let next = text.indexOf("\u0002", index);
    if (next < 0) next = text.length;
    const separator = text.indexOf("\u0001", index);
    if (separator > index && separator < next - 1) map[text.slice(index, separator)] = text.slice(separator + 1, next);
    index = next + 1;
  }
  return map;
}

/** `name 0x01 value 0x02` repeated, in the object's order; undefined values are left out. */
export function encodeProperties(map: Record<string, string | undefined>): string {
  let text = "";
  for (const name in map) {
    const value = map[name];
    if (value !== undefined) text += `${name}\u0001${value}\u0002`;
  }
  return text;
}

/** UTF-8 of `encodeProperties`. */
export function propertiesToBytes(map: Record<string, string | undefined>): Buffer {
  return Buffer.from(encodeProperties(map), "utf8");
}
