import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { turnObserver, watchTurn } from "../../lib/base/turn-watch.ts";
import { PauseLog } from "../../lib/broker/pause-log.ts";
import { until } from "../support/until.ts";
import { BrokerFixture, sendRequest } from "./support/broker-fixture.ts";

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mq-pauses-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("a pause is written with the work that caused it; nobody is told of turns afterwards", async () => {
  const path = join(directory, "pauses.log");
  const errors: unknown[] = [];
  const log = new PauseLog({
    path,
    fileBytes: 1_000_000,
    files: 2,
    thresholdMs: 30,
    onError: (error) => errors.push(error),
  });
  log.start();
  const text = () => (existsSync(path) ? readFileSync(path, "utf8") : "");
  await until(() => {
    watchTurn("count to a lot", () => Bun.sleepSync(40));
    return text().includes("count to a lot");
  });
  await log.stop();
  expect(text()).toMatch(/ begins: pauses from 30 ms on, heap [\d.]+ MiB/);
  expect(text()).toMatch(/ pause \d+\.\d ms: longest turn \d+\.\d ms: count to a lot/);
  expect(text()).toMatch(/ ends: heap /);
  expect(errors).toEqual([]);
  expect(turnObserver()).toBeUndefined();
});

test("a broker with mqPauseLogPath keeps one, and ends it with itself", async () => {
  const path = join(directory, "broker.log");
  const fixture = await BrokerFixture.start({ mqPauseLogPath: path });
  try {
    const sent = await fixture.client().invoke(fixture.address, sendRequest({ topic: "Paused", body: "x" }), 5_000);
    expect(sent.code).toBe(0);
  } finally {
    await fixture.close();
  }
  expect(readFileSync(path, "utf8")).toMatch(/ begins: [\s\S]* ends: /);
});
