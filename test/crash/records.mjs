const PULL_MESSAGE = 11;
const FOUND = 0;
const NOT_FOUND = 19;
const HAS_SUBSCRIPTION = 4;
const MAGIC = 0xdaa320a7 | 0;
const BORN_HOST_V6 = 0x10;
const STORE_HOST_V6 = 0x20;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 without its sign bit, as RocketMQ stores it. */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) & 0x7fffffff;
}

/** The stored records in a pull's body, of layout v1 [MessageDecoder#decode]. */
export function decodeRecords(buffer) {
  const records = [];
  for (let at = 0; at < buffer.length; ) {
    const total = buffer.readInt32BE(at);
    if (buffer.readInt32BE(at + 4) !== MAGIC)
      throw new Error(`decode record at ${at}: magic ${buffer.toString("hex", at + 4, at + 8)}`);
    const sysFlag = buffer.readInt32BE(at + 36);
    const hosts = (sysFlag & BORN_HOST_V6 ? 20 : 8) + (sysFlag & STORE_HOST_V6 ? 20 : 8);
    const bodyAt = at + 68 + hosts;
    const bodyLength = buffer.readInt32BE(bodyAt);
    records.push({
      bodyCrc: buffer.readInt32BE(at + 8),
      queueOffset: Number(buffer.readBigInt64BE(at + 20)),
      physicalOffset: Number(buffer.readBigInt64BE(at + 28)),
      body: buffer.subarray(bodyAt + 4, bodyAt + 4 + bodyLength),
    });
    at += total;
  }
  return records;
}

/** Every record of a queue from an offset to its end. */
export async function readQueue(connection, topic, queueId, from) {
  const records = [];
  let at = from;
  for (;;) {
    const fields = {
      consumerGroup: "crash-reader",
      topic,
      queueId: String(queueId),
      queueOffset: String(at),
      maxMsgNums: "32",
      sysFlag: String(HAS_SUBSCRIPTION),
      commitOffset: "0",
      suspendTimeoutMillis: "0",
      subscription: "*",
      subVersion: "0",
      expressionType: "TAG",
    };
    const { code, remark, body, extFields } = await connection.request(PULL_MESSAGE, fields);
    if (code === NOT_FOUND) return { records, end: at };
    if (code !== FOUND) throw new Error(`pull ${topic} ${queueId} at ${at}: code ${code}, ${remark}`);
    const found = decodeRecords(body);
    // The body is a view of a buffer that is the connection's own copy, so the records may be kept.
    records.push(...found);
    const next = Number(extFields.nextBeginOffset);
    if (next <= at) throw new Error(`pull ${topic} ${queueId} at ${at}: next offset ${next}`);
    at = next;
  }
}
