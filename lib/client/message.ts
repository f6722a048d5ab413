import { offsetMsgId } from "../message/message-id.ts";
import { PropertyName } from "../message/properties.ts";
import type { MessageExt as StoredMessage } from "../message/record.ts";

/** A message to be sent. */
export interface Message {
  topic: string;
  body: Uint8Array;
  /** The user's own int32; the broker stores it and looks no further. */
  flag?: number;
  tags?: string | undefined;
  /** Several keys are joined with one blank. */
  keys?: string | readonly string[] | undefined;
  properties?: Readonly<Record<string, string>>;
  /** 1 to 18 with the broker's default levels (1s ... 2h); 0 or absent: at once. */
  delayLevel?: number | undefined;
  /** false: the broker answers without waiting for flush or slave. */
  waitStoreMsgOk?: boolean;
}

/** The message's properties as they go over the wire: the user's own first, then what its fields say. */
export function messageProperties(message: Message): Record<string, string> {
  const properties: Record<string, string> = { ...message.properties };
  if (message.tags !== undefined && message.tags !== "") properties[PropertyName.TAGS] = message.tags;
  const keys = typeof message.keys === "string" ? message.keys : message.keys?.join(" ");
  if (keys !== undefined && keys !== "") properties[PropertyName.KEYS] = keys;
  if (message.delayLevel !== undefined && message.delayLevel > 0) {
    properties[PropertyName.DELAY] = String(message.delayLevel);
  }
  properties[PropertyName.WAIT] ??= message.waitStoreMsgOk === false ? "false" : "true";
  return properties;
}

/** [MessageExt] A stored message as a consumer gets it; the body is decompressed. */
export class MessageExt implements StoredMessage {
  topic: string;
  readonly brokerName: string;
  readonly queueId: number;
  readonly flag: number;
  readonly sysFlag: number;
  readonly bornTimestamp: number;
  readonly bornHost: string;
  readonly storeTimestamp: number;
  readonly storeHost: string;
  reconsumeTimes: number;
  readonly preparedTransactionOffset: number;
  readonly body: Buffer;
  readonly properties: Record<string, string>;
  readonly queueOffset: number;
  readonly physicalOffset: number;
  readonly bodyCRC: number;
  readonly size: number;
  /** ms since the epoch when the listener first got it; 0 before. */
  consumeStartTime = 0;

  constructor(stored: StoredMessage, brokerName: string, body: Buffer) {
    this.topic = stored.topic;
    this.brokerName = brokerName;
    this.queueId = stored.queueId;
    this.flag = stored.flag;
    this.sysFlag = stored.sysFlag;
    this.bornTimestamp = stored.bornTimestamp;
    this.bornHost = stored.bornHost;
    this.storeTimestamp = stored.storeTimestamp;
    this.storeHost = stored.storeHost;
    this.reconsumeTimes = stored.reconsumeTimes;
    this.preparedTransactionOffset = stored.preparedTransactionOffset;
    this.body = body;
    this.properties = stored.properties;
    this.queueOffset = stored.queueOffset;
    this.physicalOffset = stored.physicalOffset;
    this.bodyCRC = stored.bodyCRC;
    this.size = stored.size;
  }

  /** UNIQ_KEY where the sender set one, else `offsetMsgId`. */
  get msgId(): string {
    return this.properties[PropertyName.UNIQ_KEY] ?? this.offsetMsgId;
  }

  /** Store host and position in its commit log, in hex. */
  get offsetMsgId(): string {
    return offsetMsgId(hostBytes(this.storeHost), this.physicalOffset);
  }

  get tags(): string | undefined {
    return this.properties[PropertyName.TAGS];
  }

  get keys(): string | undefined {
    return this.properties[PropertyName.KEYS];
  }

  get transactionId(): string | undefined {
    return this.properties[PropertyName.TRAN_MSG] === "true"
      ? this.properties[PropertyName.UNIQ_KEY]
      : this.properties[PropertyName.TRANSACTION_ID];
  }
}

/** `1.2.3.4:5` or `[1:2:..:8]:5` as it stands in a record: 8 or 20 bytes. */
function hostBytes(host: string): Buffer {
  const colon = host.lastIndexOf(":");
  const port = Number(host.slice(colon + 1));
  if (!host.startsWith("[")) {
    const bytes = Buffer.alloc(8);
    host
      .slice(0, colon)
      .split(".")
      .forEach((part, i) => {
        bytes[i] = Number(part);
      });
    bytes.writeInt32BE(port, 4);
    return bytes;
  }
  const bytes = Buffer.alloc(20);
  host
    .slice(1, colon - 1)
    .split(":")
    .forEach((group, i) => {
      bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * i);
    });
  bytes.writeInt32BE(port, 16);
  return bytes;
}
