import { describe, expect, test } from "bun:test";
import { type HeldPull, HeldPulls } from "../../../lib/broker/longpolling/pull-request-hold-service.ts";
import { FakeConnection } from "../support/fake-connection.ts";

function setUp() {
  const woken: HeldPull[] = [];
  const state = { now: 1000, max: 0 };
  const held = new HeldPulls<HeldPull>({
    wake: (pull) => woken.push(pull),
    maxOffset: () => state.max,
    now: () => state.now,
    checkPeriodMs: 1,
  });
  return { held, woken, state };
}

function pull(extra: Partial<HeldPull> = {}): HeldPull {
  return {
    connection: new FakeConnection(),
    topic: "T",
    queueId: 0,
    queueOffset: 5,
    filter: undefined,
    deadline: 9_000,
    ...extra,
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(1);
}

describe("held pulls", () => {
  test("wake in the turn of the arrival, once, for their queue only", async () => {
    const { held, woken } = setUp();
    const [one, other] = [pull(), pull({ queueId: 1 })];
    held.suspend(one);
    held.suspend(other);
    expect(held.waiting).toBe(2);
    held.notifyMessageArriving("T", 0, 6, 0);
    held.notifyMessageArriving("T", 0, 7, 0);
    expect(woken).toEqual([]);
    await undefined;
    expect(woken).toEqual([one]);
    expect(held.waiting).toBe(1);
  });

  test("sleep on when the entry is not theirs: an earlier offset, another tag", async () => {
    const { held, woken } = setUp();
    held.suspend(pull({ filter: { isMatchedByConsumeQueue: (code) => code === 7 } }));
    held.notifyMessageArriving("T", 0, 5, 7);
    held.notifyMessageArriving("T", 0, 6, 8);
    await undefined;
    expect(woken).toEqual([]);
    held.notifyMessageArriving("T", 0, 7, 7);
    await undefined;
    expect(woken).toHaveLength(1);
  });

  test("are answered at their deadline, when the queue moved past unmatched entries, and dropped with their connection", async () => {
    const { held, woken, state } = setUp();
    const late = pull({ deadline: 2_000 });
    const gone = pull();
    const moved = pull({ queueOffset: 100, filter: { isMatchedByConsumeQueue: () => false } });
    for (const each of [late, gone, moved]) held.suspend(each);
    held.start();
    (gone.connection as FakeConnection).closed = true;
    state.now = 2_000;
    await until(() => woken.length === 1);
    expect(woken).toEqual([late]);
    expect(held.waiting).toBe(1);
    state.max = 101;
    await until(() => woken.length === 2);
    held.shutdown();
    expect(held.waiting).toBe(0);
  });

  test("a deleted topic and a stop answer everyone", async () => {
    const { held, woken } = setUp();
    held.suspend(pull());
    held.suspend(pull({ topic: "U" }));
    held.wakeTopic("T");
    await undefined;
    expect(woken).toHaveLength(1);
    held.shutdown();
    await undefined;
    expect(woken).toHaveLength(2);
  });
});
