import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type BrokerConfig, loadBrokerConfig } from "../../lib/config/broker-config.ts";

const CONF = join(import.meta.dir, "../../conf");
const FILES = readdirSync(CONF, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".properties"))
  .sort();
const SHAPES = ["1m-noslave", "2m-noslave", "2m-2s-async", "2m-2s-sync"];

function shape(name: string): BrokerConfig[] {
  return FILES.filter((file) => file.startsWith(`${name}/`)).map(
    (file) => loadBrokerConfig({ file: join(CONF, file) }).config,
  );
}

describe("files in conf/", () => {
  test.each(FILES.filter((file) => file.includes("/")))("%s explains every line", (file) => {
    const lines = readFileSync(join(CONF, file), "utf8").trimEnd().split("\n");
    for (const [index, line] of lines.entries())
      if (line !== "" && !line.startsWith("#")) expect(lines[index - 1]).toStartWith("# ");
  });

  test.each(SHAPES)("%s: all brokers can run on one machine", (name) => {
    const brokers = shape(name);
    const ports = brokers.flatMap(({ listenPort }) => [listenPort, listenPort - 2, listenPort + 1]);
    expect(new Set(ports).size).toBe(ports.length);
    expect(new Set(brokers.map(({ storePathRootDir }) => storePathRootDir)).size).toBe(brokers.length);
    for (const { storePathRootDir } of brokers) expect(storePathRootDir).toStartWith(`${homedir()}/`);
  });

  test("each shape has the roles that its name says", () => {
    const roles = Object.fromEntries(
      SHAPES.map((name) => [
        name,
        shape(name).map(({ brokerName, brokerId, brokerRole }) => `${brokerName} ${brokerId} ${brokerRole}`),
      ]),
    );
    expect(roles).toEqual({
      "1m-noslave": ["broker-a 1 SLAVE", "broker-a 0 ASYNC_MASTER"],
      "2m-noslave": ["broker-a 0 ASYNC_MASTER", "broker-b 0 ASYNC_MASTER"],
      "2m-2s-async": ["broker-a 1 SLAVE", "broker-a 0 ASYNC_MASTER", "broker-b 1 SLAVE", "broker-b 0 ASYNC_MASTER"],
      "2m-2s-sync": ["broker-a 1 SLAVE", "broker-a 0 SYNC_MASTER", "broker-b 1 SLAVE", "broker-b 0 SYNC_MASTER"],
    });
  });
});
