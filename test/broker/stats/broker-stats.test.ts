import { expect, test } from "bun:test";
import { BrokerStats } from "../../../lib/broker/stats/broker-stats.ts";
import { STATS_KEYS_MAX } from "../../../lib/broker/stats/stats-item-set.ts";

const START = 1_800_000_000_000;

/** Stats and a clock: `run` lets whole seconds pass. */
function create() {
  const stats = new BrokerStats({ brokerClusterName: "c" });
  let now = START;
  const run = (seconds: number, each?: () => void) => {
    for (let i = 0; i < seconds; i++) {
      each?.();
      stats.tick(now);
      now += 1000;
    }
  };
  return { stats, run };
}

test("a window is the difference of its samples", () => {
  const { stats, run } = create();
  run(61, () => stats.incTopicPutNums("T", 5, 500));
  const item = stats.item("TOPIC_PUT_NUMS", "T")!;
  // Seven samples span the last minute: 60 calls of 5 messages.
  expect(item.inMinute()).toEqual({ sum: 300, tps: 5, avgpt: 5 });
  expect(stats.item("TOPIC_PUT_SIZE", "T")!.inMinute().sum).toBe(30_000);
  expect(stats.tpsTopicPutNums("T")).toBe(5);
});

test("an item that appears between two ticks counts from zero", () => {
  const { stats, run } = create();
  run(5);
  stats.incGroupGetNums("g", "T", 20, 2000, 1);
  run(6);
  expect(stats.item("GROUP_GET_NUMS", "T@g")!.inMinute()).toEqual({ sum: 20, tps: 2, avgpt: 20 });
  expect(stats.item("QUEUE_GET_NUMS", "T@1@g")!.inMinute().sum).toBe(20);
});

test("hour and day windows move on their own ticks", () => {
  const { stats, run } = create();
  run(3601, () => stats.incTopicPutNums("T", 1, 10));
  const item = stats.item("TOPIC_PUT_NUMS", "T")!;
  expect(item.inHour()).toEqual({ sum: 3600, tps: 1, avgpt: 1 });
  expect(item.inDay().sum).toBe(3601);
});

test("rates of code 28 span 10 s, 1 m and 10 m, and print as Java's doubles", () => {
  const { stats, run } = create();
  run(20, () => stats.incBrokerPutNums("T", 10));
  expect(stats.runtimeInfo().putTps).toBe("10.0 10.0 10.0");
  run(15);
  expect(stats.runtimeInfo().putTps!.split(" ")[0]).toBe("0.0");
  expect(stats.runtimeInfo().getTransferredTps).toBe("0.0 0.0 0.0");
});

test("messages of system topics do not count for the day's totals", () => {
  const { stats } = create();
  stats.incBrokerPutNums("T", 3);
  stats.incBrokerPutNums("SCHEDULE_TOPIC_XXXX", 4);
  expect(stats.runtimeInfo().msgPutTotalTodayNow).toBe("3");
  expect(stats.item("BROKER_PUT_NUMS", "c")!.value).toBe(7);
});

test("a new day keeps yesterday's totals and drops what nobody uses", () => {
  const { stats, run } = create();
  stats.incBrokerPutNums("T", 3);
  stats.incTopicPutNums("T", 3, 30);
  stats.incTopicPutNums("idle", 1, 1);
  const day = 86_400_000;
  stats.tick(Date.now() + day);
  stats.incBrokerPutNums("T", 2);
  stats.incTopicPutNums("T", 2, 20);
  stats.tick(Date.now() + 2 * day);
  const info = stats.runtimeInfo();
  expect([info.msgPutTotalYesterdayMorning, info.msgPutTotalTodayMorning]).toEqual(["3", "5"]);
  expect(stats.item("TOPIC_PUT_NUMS", "idle")).toBeUndefined();
  expect(stats.item("TOPIC_PUT_NUMS", "T")!.value).toBe(5);
  run(1, () => stats.incTopicPutNums("T", 1, 1));
  expect(stats.item("TOPIC_PUT_NUMS", "T")!.value).toBe(6);
});

test("keys are bounded", () => {
  const { stats } = create();
  for (let i = 0; i < STATS_KEYS_MAX + 10; i++) stats.incSendBack("g", `T${i}`);
  expect(stats.item("SNDBCK_PUT_NUMS", `T${STATS_KEYS_MAX - 1}@g`)).toBeDefined();
  expect(stats.item("SNDBCK_PUT_NUMS", `T${STATS_KEYS_MAX}@g`)).toBeUndefined();
});

test("a deleted topic or group takes its counters along", () => {
  const { stats } = create();
  stats.incTopicPutNums("T", 1, 1, 0);
  stats.incGroupGetNums("g", "T", 1, 1, 0);
  stats.incGroupGetNums("g", "T2", 1, 1, 0);
  stats.incGroupGetLatency("g", "T", 0, 5);
  stats.onTopicDeleted("T");
  expect(stats.item("TOPIC_PUT_NUMS", "T")).toBeUndefined();
  expect(stats.item("QUEUE_PUT_NUMS", "T@0")).toBeUndefined();
  expect(stats.item("GROUP_GET_NUMS", "T@g")).toBeUndefined();
  expect(stats.item("GROUP_GET_LATENCY", "0@T@g")).toBeUndefined();
  expect(stats.item("GROUP_GET_NUMS", "T2@g")).toBeDefined();
  stats.onGroupDeleted("g");
  expect(stats.item("GROUP_GET_NUMS", "T2@g")).toBeUndefined();
});
