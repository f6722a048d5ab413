import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { crc32, decodeRecords } from "../../crash/records.mjs";
import { RawConnection } from "./remoting.mjs";

const PULL_MESSAGE = 11;
const GET_BROKER_RUNTIME_INFO = 28;
const GET_MIN_OFFSET = 31;
const FOUND = 0;
const NOT_FOUND = 19;
/** A slave's answer at a queue's end while its master is up. */
const RETRY_IMMEDIATELY = 20;
const HAS_SUBSCRIPTION = 4;
const CHUNK_BYTES = 1 << 20;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs `attempt` until it gives no problems or time is up; gives the last ones. */
export async function settle(attempt, timeoutMs) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const problems = await attempt().catch((error) => [error.message]);
    if (problems.length === 0 || Date.now() > end) return problems;
    await sleep(200);
  }
}

/** Where the commit log of a running broker begins and ends. */
export async function logRange(port) {
  const connection = await RawConnection.to(port);
  try {
    const { code, remark, body } = await connection.request(GET_BROKER_RUNTIME_INFO);
    if (code !== 0) throw new Error(`read the runtime info of ${port}: code ${code}, ${remark}`);
    const { table } = JSON.parse(body.toString("utf8"));
    return { min: Number(table.commitLogMinOffset), max: Number(table.commitLogMaxOffset) };
  } finally {
    connection.close();
  }
}

/** The bytes [from, to) of a commit log's files, in chunks that never cross a file. */
function* logChunks(dir, from, to) {
  const folder = join(dir, "store", "commitlog");
  const files = readdirSync(folder)
    .filter((name) => /^\d{20}$/.test(name))
    .map((name) => ({ path: join(folder, name), begin: Number(name), size: statSync(join(folder, name)).size }));
  for (let at = from; at < to; ) {
    const file = files.find(({ begin, size }) => at >= begin && at < begin + size);
    if (!file) throw new Error(`${dir}: no commit-log file holds offset ${at}`);
    const bytes = Buffer.alloc(Math.min(CHUNK_BYTES, to - at, file.begin + file.size - at));
    const fd = openSync(file.path, "r");
    const read = readSync(fd, bytes, 0, bytes.length, at - file.begin);
    closeSync(fd);
    if (read < bytes.length)
      throw new Error(`${file.path}: ${read} bytes at ${at - file.begin}, wanted ${bytes.length}`);
    yield { at, bytes };
    at += bytes.length;
  }
}

/** The first offset in [from, to) at which two commit logs differ, or undefined. */
function firstDifference(one, other, from, to) {
  const others = logChunks(other, from, to);
  for (const { at, bytes } of logChunks(one, from, to)) {
    const { value } = others.next();
    if (value.at !== at || value.bytes.length !== bytes.length)
      throw new Error(`files of ${one} and ${other} have other sizes`);
    if (bytes.equals(value.bytes)) continue;
    for (let i = 0; i < bytes.length; i++) if (bytes[i] !== value.bytes[i]) return at + i;
  }
  return undefined;
}

/** Every record of a queue that a broker, master or slave, still has. */
async function readWholeQueue(connection, topic, queueId) {
  const first = await connection.request(GET_MIN_OFFSET, { topic, queueId: String(queueId) });
  if (first.code !== 0) throw new Error(`min offset of ${topic} ${queueId}: code ${first.code}, ${first.remark}`);
  const records = new Map();
  const min = Number(first.extFields.offset);
  for (let at = min; ; ) {
    const fields = {
      consumerGroup: "replica-reader",
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
    const atEnd = code === RETRY_IMMEDIATELY && Number(extFields.nextBeginOffset) === at;
    if (code === NOT_FOUND || atEnd) return { min, records };
    if (code !== FOUND) throw new Error(`pull ${topic} ${queueId} at ${at}: code ${code}, ${remark}`);
    for (const record of decodeRecords(body)) records.set(record.queueOffset, record);
    const next = Number(extFields.nextBeginOffset);
    if (next <= at) throw new Error(`pull ${topic} ${queueId} at ${at}: next offset ${next}`);
    at = next;
  }
}

/** The lines of a ledger of ClusterLoadTheme that one broker pair acknowledged. */
export function readLedger(file, brokerName) {
  return readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, broker]) => broker === brokerName)
    .map(([id, , queueId, queueOffset, crc]) => ({
      id,
      queueId: Number(queueId),
      queueOffset: Number(queueOffset),
      crc: Number(crc),
    }));
}

/**
 * What a broker lacks of what was acknowledged: absent, another message in its place, or a body that is not its CRC's.
 * A queue of a replica may begin later than the acknowledged messages where `mayBeginLater`.
 */
export async function missingAt(port, topic, acknowledged, mayBeginLater) {
  const problems = [];
  const connection = await RawConnection.to(port);
  try {
    for (const queueId of new Set(acknowledged.map((one) => one.queueId))) {
      const { min, records } = await readWholeQueue(connection, topic, queueId);
      for (const { id, queueOffset, crc } of acknowledged.filter((one) => one.queueId === queueId)) {
        const record = records.get(queueOffset);
        if (mayBeginLater && queueOffset < min) continue;
        if (!record) problems.push(`${id} was acknowledged at ${queueId}/${queueOffset} and is not there`);
        else if (record.body.toString("latin1", 0, record.body.indexOf(32)) !== id)
          problems.push(`${queueId}/${queueOffset} was acknowledged as ${id}, is another`);
        else if (record.bodyCrc !== crc || crc32(record.body) !== crc) problems.push(`${id}: its CRC differs`);
      }
    }
  } finally {
    connection.close();
  }
  return problems;
}

/** What differs between the commit logs of two running brokers: their ends, or a byte between the later begin and the end. */
export async function logDifferences(master, slave) {
  const [ours, theirs] = await Promise.all([logRange(master.port), logRange(slave.port)]);
  if (ours.max !== theirs.max) return [`the master's log ends at ${ours.max}, the slave's at ${theirs.max}`];
  const at = firstDifference(master.dir, slave.dir, Math.max(ours.min, theirs.min, 0), ours.max);
  return at === undefined ? [] : [`the logs differ at offset ${at} of ${ours.max}`];
}
