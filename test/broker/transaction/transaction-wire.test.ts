import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { decodeRecord } from "../../../lib/message/record.ts";
import { RequestCode } from "../../../lib/remoting/codes.ts";
import type { RemotingClient, RemotingCommand } from "../../../lib/remoting/types.ts";
import { until } from "../../support/until.ts";
import { BrokerFixture, heartbeatRequest, sendRequest } from "../support/broker-fixture.ts";

const COMMIT = 8;
const ROLLBACK = 12;

describe.each(["ASYNC_FLUSH", "SYNC_FLUSH", "transient store"] as const)("%s", (variant) => {
  let fixture: BrokerFixture;
  let producer: RemotingClient;
  const checks: RemotingCommand[] = [];

  beforeAll(async () => {
    fixture = await BrokerFixture.start({
      flushDiskType: variant === "SYNC_FLUSH" ? variant : "ASYNC_FLUSH",
      transientStorePoolEnable: variant === "transient store",
      transientStorePoolSize: 2,
      transactionTimeOut: 1,
      transactionCheckInterval: 20,
      transactionCheckMax: 100,
    });
    producer = fixture.client(0, {
      processors: new Map([
        [
          RequestCode.CHECK_TRANSACTION_STATE,
          {
            processor: (request: RemotingCommand) => {
              checks.push(request);
              return undefined;
            },
          },
        ],
      ]),
    });
    await producer.invoke(fixture.address, heartbeatRequest("producer"), 5000);
  });

  afterAll(() => fixture.close());

  function half(body: string): Promise<RemotingCommand> {
    const properties = { UNIQ_KEY: body, TRAN_MSG: "true", PGROUP: "PG" };
    // g is the born timestamp: older ones than fileReservedTime are discarded.
    const request = sendRequest({ topic: "T", queueId: 1, body, properties, ext: { g: Date.now() } });
    return producer.invoke(fixture.address, request, 5000);
  }

  function end({ ext }: RemotingCommand, commitOrRollback: number): Promise<RemotingCommand> {
    const { tranStateTableOffset, commitLogOffset, msgId = "" } = ext;
    const answer = { producerGroup: "PG", tranStateTableOffset, commitLogOffset, commitOrRollback, msgId };
    const request = { code: RequestCode.END_TRANSACTION, ext: { ...answer, fromTransactionCheck: true } };
    return producer.invoke(fixture.address, request, 5000);
  }

  const delivered = () => fixture.broker.context.store.getMaxOffsetInQueue("T", 1);

  test("a half message is asked for until its producer answers, and then never again", async () => {
    expect((await half("a")).code).toBe(0);
    expect(delivered()).toBe(0);
    await until(() => checks.length >= 2);
    const body = decodeRecord(checks[0]!.body!)!;
    expect(body).toMatchObject({ topic: "T", queueId: 1 });
    expect(body.body.toString()).toBe("a");
    expect(checks[0]!.ext.msgId).toBe("a");
    expect((await end(checks.at(-1)!, COMMIT)).code).toBe(0);
    await until(() => delivered() === 1);
    const { transactions } = fixture.broker.context;
    await transactions.check();
    const asked = checks.length;
    for (let round = 0; round < 3; round++) await transactions.check();
    expect(checks).toHaveLength(asked);
  });

  test("a rolled-back one is never delivered", async () => {
    checks.length = 0;
    await half("b");
    await until(() => checks.length >= 1);
    expect((await end(checks[0]!, ROLLBACK)).code).toBe(0);
    expect(delivered()).toBe(1);
  });

  test("what waits is asked for after a restart too", async () => {
    await half("c");
    await fixture.broker.context.transactions.check();
    await fixture.restart();
    checks.length = 0;
    await producer.invoke(fixture.address, heartbeatRequest("producer"), 5000);
    await until(() => checks.length >= 1);
    expect(checks.every(({ ext }) => ext.msgId === "c")).toBe(true);
    expect((await end(checks.at(-1)!, COMMIT)).code).toBe(0);
    await until(() => delivered() === 2);
  });
});
