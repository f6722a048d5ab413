import { RawConnection } from "../conformance/support/remoting.mjs";
import { crc32, readQueue } from "./records.mjs";

const SEND_MESSAGE_V2 = 310;
const BODY_BYTES_MAX = 3000;
const IN_FLIGHT = 32;

/** The header of a send to one queue, with SendMessageRequestHeaderV2's one-letter names. */
function sendFields(topic, queueId) {
  return {
    a: "crash-producer",
    b: topic,
    c: "TBW102",
    d: "4",
    e: String(queueId),
    f: "0",
    g: String(Date.now()),
    h: "0",
    i: "",
    j: "0",
    k: "false",
    l: "0",
    m: "false",
  };
}

/** A body that starts with its id, "round:connection:number ". */
function body(id) {
  const bytes = Buffer.alloc(id.length + 1 + Math.floor(Math.random() * BODY_BYTES_MAX), id.charCodeAt(id.length - 1));
  bytes.write(`${id} `);
  return bytes;
}

/**
 * Sends as fast as answers come, from one connection a queue, until the broker dies.
 * @returns the load: `acknowledged` grows while it runs ({ id, queueId, queueOffset, crc } each), `ended` resolves
 * when the last connection has broken.
 */
export async function startLoad(port, topic, queues, round) {
  const acknowledged = [];
  const unexpected = [];
  const connections = await Promise.all(Array.from({ length: queues }, () => RawConnection.to(port)));
  const worker = async (connection, queueId) => {
    let number = 0;
    const lane = async () => {
      for (;;) {
        const id = `${round}:${queueId}:${number++}`;
        const bytes = body(id);
        let answer;
        try {
          answer = await connection.request(SEND_MESSAGE_V2, sendFields(topic, queueId), bytes);
        } catch {
          return;
        }
        if (answer.code === 0)
          acknowledged.push({ id, queueId, queueOffset: Number(answer.extFields.queueOffset), crc: crc32(bytes) });
        else unexpected.push(`${id}: code ${answer.code}, ${answer.remark}`);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  };
  const ended = Promise.all(connections.map(worker));
  return { acknowledged, unexpected, ended };
}

/**
 * Reads the queues from `from[queueId]` on and compares them with what was acknowledged.
 * @returns { problems, next }: what is wrong, at most a handful, and where each queue ends
 */
export async function compare(port, topic, from, acknowledged) {
  const problems = [];
  const next = [];
  const places = new Map();
  const connection = await RawConnection.to(port);
  for (let queueId = 0; queueId < from.length; queueId++) {
    const { records, end } = await readQueue(connection, topic, queueId, from[queueId]);
    next[queueId] = end;
    records.forEach((record, index) => {
      const id = record.body.toString("latin1", 0, record.body.indexOf(32));
      if (record.queueOffset !== from[queueId] + index)
        problems.push(`queue ${queueId}: offset ${record.queueOffset} at place ${from[queueId] + index}`);
      if (record.bodyCrc !== crc32(record.body))
        problems.push(`${id}: CRC ${record.bodyCrc}, wanted ${crc32(record.body)}`);
      if (places.has(id)) problems.push(`${id} is there twice`);
      places.set(id, record);
    });
  }
  connection.close();
  for (const { id, queueId, queueOffset, crc } of acknowledged) {
    const record = places.get(id);
    if (!record) problems.push(`${id} was acknowledged at ${queueId}/${queueOffset} and is not there`);
    else if (record.queueOffset !== queueOffset || record.bodyCrc !== crc)
      problems.push(`${id} was acknowledged at ${queueOffset}, is at ${record.queueOffset}`);
  }
  return { problems, next };
}
