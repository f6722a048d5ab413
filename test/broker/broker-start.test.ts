import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { createBroker } from "../../lib/broker/broker.ts";
import { defaultBrokerConfig } from "../../lib/config/broker-config.ts";
import { freePort } from "../../lib/os/free-port.ts";
import { createRemotingClient } from "../../lib/remoting/client.ts";
import { RequestCode, ResponseCode } from "../../lib/remoting/codes.ts";
import { StoreLock } from "../../lib/store/store-lock.ts";
import type { MessageStore } from "../../lib/store/types.ts";
import { until } from "../support/until.ts";
import { BrokerFixture } from "./support/broker-fixture.ts";
import { MemoryLogger } from "./support/memory-logger.ts";

describe("start", () => {
  test("a busy port is named; the store is free again afterwards", async () => {
    const first = await BrokerFixture.start();
    const second = await BrokerFixture.start();
    try {
      await second.broker.stop();
      const config = defaultBrokerConfig({
        ...second.broker.context.config,
        listenPort: first.broker.listenPort,
      });
      const clash = createBroker(config, { logger: new MemoryLogger() });
      await expect(clash.start()).rejects.toThrow(`${first.broker.listenPort}`);
      await second.restart();
      expect(second.broker.listenPort).toBeGreaterThan(0);
    } finally {
      await first.close();
      await second.close();
    }
  });

  test("a store in use is refused, the one that uses it goes on", async () => {
    const first = await BrokerFixture.start();
    try {
      const config = defaultBrokerConfig({ ...first.broker.context.config, listenPort: 0 });
      const tables = join(config.storePathRootDir, "config");
      const filesOf = () =>
        Object.fromEntries(
          (existsSync(tables) ? readdirSync(tables) : []).map((name) => [name, statSync(join(tables, name)).ino]),
        );
      const before = filesOf();
      const second = createBroker({ ...config, brokerName: "second" }, { logger: new MemoryLogger() });
      await expect(second.start()).rejects.toThrow(/lock|in use/i);
      expect(filesOf()).toEqual(before);
      expect(first.broker.context.stopping).toBe(false);
      await first.restart();
    } finally {
      await first.close();
    }
  });

  test("tables are read and written under the store's lock only", async () => {
    const fixture = await BrokerFixture.start();
    const { context } = fixture.broker;
    const root = context.config.storePathRootDir;
    const locked = (): boolean => {
      try {
        StoreLock.acquire(root).release();
        return false;
      } catch {
        return true;
      }
    };
    const config = defaultBrokerConfig({ ...context.config, listenPort: 0 });
    context.offsets.commitOffset("test", "g", "T", 0, 0);
    const seen: [string, boolean][] = [];
    const stop = context.offsets.stop.bind(context.offsets);
    context.offsets.stop = async () => {
      await stop();
      seen.push(["written", locked()]);
    };
    await fixture.broker.stop();
    expect(locked()).toBe(false);
    const next = createBroker(config, { logger: new MemoryLogger() });
    const load = next.context.offsets.load.bind(next.context.offsets);
    next.context.offsets.load = () => {
      seen.push(["read", locked()]);
      load();
    };
    await next.start();
    expect(next.context.offsets.queryOffset("g", "T", 0)).toBe(0);
    await next.stop();
    expect(seen).toEqual([
      ["written", true],
      ["read", true],
    ]);
    await fixture.close();
  });

  test("listens at once and refuses with the cause until the store is recovered", async () => {
    const fixture = await BrokerFixture.start();
    await fixture.broker.stop();
    const config = defaultBrokerConfig({ ...fixture.broker.context.config, listenPort: 0 });
    const broker = createBroker(config, { logger: fixture.logger });
    const recovery = Promise.withResolvers<void>();
    let made: MessageStore | undefined;
    Object.defineProperty(broker.context, "store", {
      get: () => made,
      set(store: MessageStore) {
        made = store;
        const recover = store.load.bind(store);
        store.load = () => recovery.promise.then(recover);
      },
    });
    const started = broker.start();
    const client = createRemotingClient();
    try {
      await until(() => broker.listenPort > 0);
      const request = { code: RequestCode.GET_BROKER_RUNTIME_INFO };
      const refused = await client.invoke(`127.0.0.1:${broker.listenPort}`, request, 3000);
      expect(refused.code).toBe(ResponseCode.SERVICE_NOT_AVAILABLE);
      expect(refused.remark).toContain("recovering");
      recovery.resolve();
      await started;
      const served = await client.invoke(`127.0.0.1:${broker.listenPort}`, request, 3000);
      expect(served.code).toBe(ResponseCode.SUCCESS);
    } finally {
      recovery.resolve();
      await client.close();
      await started;
      await broker.stop();
      await fixture.close();
    }
  });

  test("a fast port that is taken is a notice, not an error", async () => {
    // Not of the range of outgoing connections: the ports beside it are wanted too.
    const taken = Bun.listen({ hostname: "127.0.0.1", port: freePort(), socket: { data() {} } });
    const fixture = await BrokerFixture.start({ listenPort: taken.port + 2 });
    try {
      expect(fixture.broker.fastListenPort).toBe(0);
      const [line] = fixture.logger.find("warn", "fast port off");
      expect(line?.message).toContain(`${taken.port}`);
    } finally {
      await fixture.close();
      taken.stop(true);
    }
  });

  test("says what clients and slaves are told; host and port may differ from what is listened on", async () => {
    const fixture = await BrokerFixture.start({
      brokerIP1: "localhost",
      mqAdvertisedPort: 20_911,
      mqAdvertisedHaPort: 20_912,
    });
    try {
      expect(fixture.broker.brokerAddress).toBe("localhost:20911");
      expect(fixture.broker.context.haServerAddress).toBe("localhost:20912");
      const [line] = fixture.logger.find("info", "clients will be told: localhost:20911");
      expect(line?.fields?.slaves).toBe("localhost:20912");
      expect(fixture.broker.context.storeHost.readInt32BE(fixture.broker.context.storeHost.length - 4)).toBe(20_911);
    } finally {
      await fixture.close();
    }
  });

  test("warns when clients elsewhere cannot reach the address that a remote name server is told", async () => {
    const fixture = await BrokerFixture.start({ namesrvAddr: "192.0.2.1:9876" });
    try {
      expect(fixture.logger.find("warn", "clients on other machines cannot reach")).toHaveLength(1);
    } finally {
      await fixture.close();
    }
  });

  test("an error that must not happen stops the broker in order and is told", async () => {
    const fatal: unknown[] = [];
    const fixture = await BrokerFixture.start();
    await fixture.broker.stop();
    const broker = createBroker(defaultBrokerConfig({ ...fixture.broker.context.config, listenPort: 0 }), {
      logger: fixture.logger,
      onFatal: (error) => fatal.push(error),
    });
    await broker.start();
    const error = new Error("broken invariant");
    broker.context.fatal(error);
    broker.context.fatal(error);
    await broker.stop();
    expect(fatal).toEqual([error]);
    expect(fixture.logger.find("error", "something happened that must not")).toHaveLength(1);
    await fixture.close();
  });
});
