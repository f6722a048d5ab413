import { setProperties } from "../message/fill-from-properties.ts";
import { MessageInner } from "../message/message-inner.ts";
import { PropertyName, propertiesToBytes, propertiesToMap } from "../message/properties.ts";
import { RecordView } from "../message/record.ts";
import { BORNHOST_V6_FLAG, STOREHOST_V6_FLAG } from "../message/sys-flag.ts";
import type { AppendResult, MessageStore, PutMessageStatus, StoredRecord } from "../store/types.ts";

/** A record read back from the log, for services that write a changed copy of it [MessageExt]. */
export interface StoredMessage {
  topic: string;
  queueId: number;
  flag: number;
  /** Without the two V6 bits. */
  sysFlag: number;
  queueOffset: number;
  physicalOffset: number;
  bornTimestamp: number;
  bornHost: Buffer;
  storeTimestamp: number;
  storeHost: Buffer;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  body: Buffer;
  properties: Record<string, string>;
}

const view = new RecordView();

/** Decodes a record of the log, every length checked; undefined when it is not whole or its body's CRC is wrong. Hosts and body are views of its bytes. */
export function decodeStoredMessage(record: StoredRecord): StoredMessage | undefined {
  const { bytes } = record;
  if (view.read(bytes, 0, bytes.length, record.physicalOffset) !== "record" || !view.bodyIntact) return undefined;
  return {
    topic: view.topic,
    queueId: view.queueId,
    flag: view.flag,
    sysFlag: view.sysFlag & ~(BORNHOST_V6_FLAG | STOREHOST_V6_FLAG),
    queueOffset: view.queueOffset,
    physicalOffset: view.physicalOffset,
    bornTimestamp: view.bornTimestamp,
    bornHost: bytes.subarray(view.bornHostStart, view.bornHostEnd),
    storeTimestamp: view.storeTimestamp,
    storeHost: bytes.subarray(view.storeHostStart, view.storeHostEnd),
    reconsumeTimes: view.reconsumeTimes,
    preparedTransactionOffset: view.preparedTransactionOffset,
    body: bytes.subarray(view.bodyStart, view.bodyEnd),
    properties: propertiesToMap(bytes, view.propertiesStart, view.propertiesEnd),
  };
}

/** What a copy of a stored message changes; the rest is taken over. */
export type StoredMessageChange = Partial<
  Pick<StoredMessage, "topic" | "queueId" | "sysFlag" | "storeHost" | "reconsumeTimes" | "preparedTransactionOffset">
>;

/** The message as it goes into the log again, with `properties` in place of its own. The CRC property of the old record is dropped. */
export function copyOf(
  message: StoredMessage,
  properties: Record<string, string>,
  change: StoredMessageChange,
): MessageInner {
  const inner = new MessageInner();
  inner.topic = change.topic ?? message.topic;
  inner.queueId = change.queueId ?? message.queueId;
  inner.flag = message.flag;
  inner.sysFlag = change.sysFlag ?? message.sysFlag;
  inner.bornTimestamp = message.bornTimestamp;
  inner.bornHost = message.bornHost;
  inner.storeHost = change.storeHost ?? message.storeHost;
  inner.reconsumeTimes = change.reconsumeTimes ?? message.reconsumeTimes;
  inner.preparedTransactionOffset = change.preparedTransactionOffset ?? 0;
  inner.body = message.body;
  inner.bodyStart = 0;
  inner.bodyEnd = message.body.length;
  const { [PropertyName.CRC32]: _, ...kept } = properties;
  setProperties(inner, propertiesToBytes(kept));
  // The copy's sender is the broker: it never waits for flush or slave, whatever the property still says.
  inner.waitStoreMsgOk = false;
  return inner;
}

/** Properties of a message on its way in, the broker's suffix included. */
export function propertiesOf(inner: MessageInner): Record<string, string> {
  const own = propertiesToMap(inner.properties, inner.propertiesStart, inner.propertiesEnd);
  return inner.propertiesSuffix.length === 0 ? own : Object.assign(own, propertiesToMap(inner.propertiesSuffix));
}

const NO_SUFFIX = Buffer.alloc(0);

/** Rewrites the properties of a message in place. */
export function changeProperties(inner: MessageInner, change: Record<string, string | undefined>): void {
  const properties = propertiesOf(inner);
  for (const name in change) {
    const value = change[name];
    if (value === undefined) delete properties[name];
    else properties[name] = value;
  }
  inner.propertiesSuffix = NO_SUFFIX;
  setProperties(inner, propertiesToBytes(properties));
}

const nobodyWaits = (): void => {};

/** Appends for the broker's own purposes: nobody waits for the flush, but with SYNC_FLUSH one is begun. The result is the store's reused one. */
export function appendUnwaited(
  store: Pick<MessageStore, "append" | "awaitDurable">,
  message: MessageInner,
): AppendResult {
  const result = store.append(message);
  if (result.status === "PUT_OK") store.awaitDurable(result.physicalEnd, false, nobodyWaits);
  return result;
}

/** What became of an append when flush and slave have confirmed it as configured: an answer may promise no more than that. */
export function durable(store: Pick<MessageStore, "awaitDurable">, physicalEnd: number): Promise<PutMessageStatus> {
  return new Promise((resolve) => store.awaitDurable(physicalEnd, true, resolve));
}
