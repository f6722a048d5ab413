import { PROPERTIES_BYTES_MAX } from "./layout.ts";

/**
 * One item of a batch body [MessageDecoder#encodeMessage]: i32 totalSize, i32 magic 0, i32 bodyCRC 0, i32 flag, i32 bodyLength,
 * body, i16 propertiesLength, properties.
 */
export const BATCH_ITEM_BYTES_MIN = 22;

/** Ranges of one item; one reused object per reader. */
export class BatchItem {
  flag = 0;
  bodyStart = 0;
  bodyEnd = 0;
  propertiesStart = 0;
  propertiesEnd = 0;

  /** Reads the item at `at` and returns the offset behind it, or -1 when it does not fit into `end` or its lengths disagree. */
  read(buffer: Buffer, at: number, end: number): number {
    if (end - at < BATCH_ITEM_BYTES_MIN) return -1;
    const size = buffer.readInt32BE(at);
    const itemEnd = at + size;
    if (size < BATCH_ITEM_BYTES_MIN || itemEnd > end) return -1;
    this.flag = buffer.readInt32BE(at + 12);
    const bodyLength = buffer.readInt32BE(at + 16);
    this.bodyStart = at + 20;
    this.bodyEnd = this.bodyStart + bodyLength;
    if (bodyLength < 0 || this.bodyEnd + 2 > itemEnd) return -1;
    const propertiesLength = buffer.readInt16BE(this.bodyEnd);
    this.propertiesStart = this.bodyEnd + 2;
    this.propertiesEnd = this.propertiesStart + propertiesLength;
    return propertiesLength >= 0 && this.propertiesEnd === itemEnd ? itemEnd : -1;
  }
}

export interface BatchMessage {
  flag: number;
  body: Uint8Array;
  /** `encodeProperties` of the message, UTF-8. */
  properties: Uint8Array;
}

/** The body of a batch request. Throws RangeError when an item's properties exceed 32767 bytes. */
export function encodeBatch(messages: readonly BatchMessage[]): Buffer {
  let bytes = 0;
  for (const message of messages) bytes += BATCH_ITEM_BYTES_MIN + message.body.length + message.properties.length;
  const target = Buffer.alloc(bytes);
  let at = 0;
  for (const { flag, body, properties } of messages) {
    if (properties.length > PROPERTIES_BYTES_MAX) {
      throw new RangeError(
        `cannot encode the batch: properties of ${properties.length} bytes, at most ${PROPERTIES_BYTES_MAX}`,
      );
    }
    target.writeInt32BE(BATCH_ITEM_BYTES_MIN + body.length + properties.length, at);
    target.writeInt32BE(flag, at + 12);
    target.writeInt32BE(body.length, at + 16);
    target.set(body, at + 20);
    at += 20 + body.length;
    target.writeInt16BE(properties.length, at);
    target.set(properties, at + 2);
    at += 2 + properties.length;
  }
  return target;
}

/** The items of a batch body as views; undefined when it is not a whole number of valid items. */
export function decodeBatch(buffer: Buffer, start = 0, end = buffer.length): BatchMessage[] | undefined {
  const item = new BatchItem();
  const messages: BatchMessage[] = [];
  for (let at = start; at < end; ) {
    at = item.read(buffer, at, end);
    if (at < 0) return undefined;
    messages.push({
      flag: item.flag,
      body: buffer.subarray(item.bodyStart, item.bodyEnd),
      properties: buffer.subarray(item.propertiesStart, item.propertiesEnd),
    });
  }
  return messages;
}
