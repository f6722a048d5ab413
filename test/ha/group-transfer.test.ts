import { expect, test } from "bun:test";
import { GroupTransfer } from "../../lib/ha/group-transfer.ts";
import { LogLines } from "../store/store-fixture.ts";
import { until } from "../support/until.ts";

function setUp(timeoutMs = 10_000) {
  const reached = new Map<number, number>();
  const logger = new LogLines();
  const transfer = new GroupTransfer(
    (need) => reached.get(need) ?? -1,
    () => timeoutMs,
    logger,
  );
  const answers: string[] = [];
  const wait = (end: number, need = 2) => transfer.wait(end, need, (status) => answers.push(`${end} ${status}`));
  return { transfer, reached, logger, answers, wait };
}

test("one report answers all that it covers, in order; what is there already is answered at once", () => {
  const { transfer, reached, answers, wait } = setUp();
  for (const end of [10, 20, 30]) wait(end);
  reached.set(2, 20);
  transfer.progress();
  expect(answers).toEqual(["10 PUT_OK", "20 PUT_OK"]);
  reached.set(2, 40);
  transfer.progress();
  wait(35);
  expect(answers.slice(2)).toEqual(["30 PUT_OK", "35 PUT_OK"]);
  expect(transfer.waiting).toBe(0);
});

test("more waiters than rows keep their order, wherever the first stands", () => {
  const { transfer, reached, answers, wait } = setUp();
  let end = 0;
  for (let i = 0; i < 700; i++) wait(++end);
  reached.set(2, 650);
  transfer.progress();
  for (let i = 0; i < 5000; i++) wait(++end);
  expect(transfer.waiting).toBe(5050);
  reached.set(2, end);
  transfer.progress();
  expect(answers).toEqual(Array.from({ length: 5700 }, (_, i) => `${i + 1} PUT_OK`));
});

test("those who wait too long, and all at a stop, get FLUSH_SLAVE_TIMEOUT; it is said once", async () => {
  const { transfer, answers, logger, wait } = setUp(20);
  wait(10);
  wait(20, 3);
  await until(() => answers.length === 2);
  wait(30);
  transfer.stop();
  expect(answers).toEqual(["10 FLUSH_SLAVE_TIMEOUT", "20 FLUSH_SLAVE_TIMEOUT", "30 FLUSH_SLAVE_TIMEOUT"]);
  expect(logger.lines).toHaveLength(1);
});

test("a sender that throws keeps no other waiting", () => {
  const { transfer, reached, answers, wait } = setUp();
  transfer.wait(5, 2, () => {
    throw new Error("no");
  });
  wait(10);
  reached.set(2, 10);
  transfer.progress();
  expect(answers).toEqual(["10 PUT_OK"]);
});
