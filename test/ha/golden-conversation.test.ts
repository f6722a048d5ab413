import { describe, expect, test } from "bun:test";
import { REPORT_BYTES, TRANSFER_HEADER_BYTES, TRANSFER_OFFSET_AT, TRANSFER_SIZE_AT } from "../../lib/ha/layout.ts";
import { readLong } from "../../lib/message/long.ts";
import golden from "../golden/ha.json";
import { until } from "../support/until.ts";
import { HaNode } from "./ha-fixture.ts";

const fromMaster = Buffer.from(golden.master, "hex");
const fromSlave = Buffer.from(golden.slave, "hex");
/** The trailing zeros of its last file are not in the recording. */
const log = Buffer.concat([Buffer.from(golden.commitLog, "hex"), Buffer.alloc(golden.fileBytes)]);

interface Block {
  offset: number;
  data: Buffer;
}

function blocks(bytes: Buffer): Block[] {
  const found: Block[] = [];
  for (let at = 0; at + TRANSFER_HEADER_BYTES <= bytes.length; ) {
    const offset = readLong(bytes, at + TRANSFER_OFFSET_AT);
    const size = bytes.readInt32BE(at + TRANSFER_SIZE_AT);
    at += TRANSFER_HEADER_BYTES;
    found.push({ offset, data: bytes.subarray(at, at + size) });
    at += size;
  }
  return found;
}

function reports(bytes: Buffer): number[] {
  return Array.from({ length: Math.floor(bytes.length / REPORT_BYTES) }, (_, i) => readLong(bytes, i * REPORT_BYTES));
}

describe("a conversation of two Java brokers", () => {
  const end = Math.max(...reports(fromSlave));

  test("reads as layout.ts says: blocks that follow each other, heartbeats, reports", () => {
    let next = blocks(fromMaster)[0]!.offset;
    for (const { offset, data } of blocks(fromMaster)) {
      expect(offset).toBe(next);
      expect(data.length).toBeLessThanOrEqual(golden.haTransferBatchSize);
      expect(data.equals(log.subarray(offset, offset + data.length))).toBe(true);
      next += data.length;
    }
    expect(blocks(fromMaster).some(({ data }) => data.length === 0)).toBe(true);
    expect(fromSlave.length % REPORT_BYTES).toBe(0);
    expect(next).toBe(end);
  });

  test("an mq slave takes the Java master's part of it and reports what the Java slave did", async () => {
    const heard: Buffer[] = [];
    using master = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket, chunk) {
          if (heard.length === 0) socket.write(fromMaster);
          heard.push(chunk);
        },
      },
    });
    await using slave = await HaNode.slaveOf(master.port, { mappedFileSizeCommitLog: golden.fileBytes });
    await until(() => slave.end === end && slave.store.dispatchBehindBytes === 0);
    expect(slave.bytes(0).equals(log.subarray(0, end))).toBe(true);
    expect(slave.store.getMaxOffsetInQueue("TopicHa", 0)).toBe(4);
    await until(() => reports(Buffer.concat(heard)).at(-1) === end);
    expect(reports(Buffer.concat(heard))[0]).toBe(0);
  });

  test("an mq master on that log says to the Java slave's reports what the Java master did", async () => {
    await using master = await HaNode.start({
      mappedFileSizeCommitLog: golden.fileBytes,
      haTransferBatchSize: golden.haTransferBatchSize,
      brokerRole: "SLAVE",
    });
    expect(master.store.replication.appendData(0, log, 0, end)).toBeUndefined();
    master.store.replication.appended();
    const heard: Buffer[] = [];
    const slave = await Bun.connect({
      hostname: "127.0.0.1",
      port: master.ha.port,
      socket: { data: (_socket, chunk) => void heard.push(chunk) },
    });
    // The second file's begin: an empty slave starts there now that the master's log is longer.
    slave.write(fromSlave.subarray(0, REPORT_BYTES));
    const all = () => blocks(Buffer.concat(heard));
    await until(() => all().reduce((sum, { data }) => sum + data.length, 0) === end - golden.fileBytes);
    expect(all()[0]?.offset).toBe(golden.fileBytes);
    expect(Buffer.concat(all().map(({ data }) => data)).equals(log.subarray(golden.fileBytes, end))).toBe(true);
    slave.terminate();
  });
});
