import { describe, expect, test } from "bun:test";
import { addressCandidates, chooseAdvertisedAddress, isLoopback } from "../../lib/broker/advertised-address.ts";
import { addressServerUrl, NameServerList, splitAddresses } from "../../lib/broker/name-server-list.ts";
import { MemoryLogger } from "./support/memory-logger.ts";

describe("advertised address", () => {
  test("what is configured wins, a name is kept and resolved for records", async () => {
    expect(await chooseAdvertisedAddress("10.1.2.3", "0.0.0.0")).toMatchObject({ host: "10.1.2.3", ip: "10.1.2.3" });
    const named = await chooseAdvertisedAddress("localhost", "0.0.0.0");
    expect(named.host).toBe("localhost");
    expect(named.ip).toMatch(/^(127\.0\.0\.1|::1)$/);
    expect(named.weakness).toBe("loopback");
  });

  test("a name that does not resolve is an error that names the key", async () => {
    await expect(chooseAdvertisedAddress("no-such-host.invalid", "")).rejects.toThrow("brokerIP1");
  });

  test("an address bound explicitly comes before a guess", async () => {
    const chosen = await chooseAdvertisedAddress(undefined, "127.0.0.1");
    expect(chosen).toMatchObject({ host: "127.0.0.1", weakness: "loopback" });
    expect(chosen.reason).toContain("bindAddress");
  });

  test("a guess is one of the candidates and says so", async () => {
    const chosen = await chooseAdvertisedAddress("", "0.0.0.0");
    const candidates = addressCandidates().map(({ address }) => address);
    expect([...candidates, "127.0.0.1"]).toContain(chosen.host);
    expect(chosen.reason).toContain("guessed from interface");
  });

  test("link-local addresses are weak", async () => {
    expect((await chooseAdvertisedAddress("169.254.1.1", "")).weakness).toBe("link-local");
    expect((await chooseAdvertisedAddress("fe80::1", "")).weakness).toBe("link-local");
  });

  test("loopback is told from the rest", () => {
    for (const address of ["127.0.0.1:9876", "localhost:9876", "[::1]:9876"]) expect(isLoopback(address)).toBe(true);
    expect(isLoopback("10.0.0.1:9876")).toBe(false);
  });
});

describe("name server list", () => {
  const base = { byDnsLookup: false, addressServerUrl: undefined, onChange() {} };

  test("is split at what people write", () => {
    expect(splitAddresses(" a:1;b:2, c:3\td:4;;a:1 ")).toEqual(["a:1", "b:2", "c:3", "d:4"]);
  });

  test("a malformed address stops the start", () => {
    expect(() => new NameServerList({ ...base, namesrvAddr: "a;b:2", logger: new MemoryLogger() })).toThrow(
      "host:port",
    );
  });

  test("an address server is asked on port 8080 unless it names one", () => {
    expect(addressServerUrl("jmenv.tbsite.net", "nsaddr")).toBe("http://jmenv.tbsite.net:8080/rocketmq/nsaddr");
    expect(addressServerUrl("host:81", "sub")).toBe("http://host:81/rocketmq/sub");
  });

  test("follows an address server; the last good list stays when it fails, said once", async () => {
    const state = { text: "a:1;b:2\n", status: 200 };
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => new Response(state.text, { status: state.status }),
    });
    const logger = new MemoryLogger();
    let changes = 0;
    const list = new NameServerList({
      ...base,
      namesrvAddr: "",
      addressServerUrl: addressServerUrl(`127.0.0.1:${server.port}`, "nsaddr"),
      logger,
      onChange: () => changes++,
    });
    try {
      await list.start();
      expect(list.addresses).toEqual(["a:1", "b:2"]);
      expect(changes).toBe(1);
      list.shutdown();
      state.status = 500;
      await list.start();
      await list.start();
      expect(list.addresses).toEqual(["a:1", "b:2"]);
      expect(logger.find("error", "fetch name servers")).toHaveLength(1);
    } finally {
      list.shutdown();
      await server.stop(true);
    }
  });

  test("names are replaced by what they resolve to when asked for", async () => {
    const list = new NameServerList({
      ...base,
      byDnsLookup: true,
      namesrvAddr: "localhost:9876",
      logger: new MemoryLogger(),
    });
    try {
      await list.start();
      expect(list.addresses.length).toBeGreaterThan(0);
      for (const address of list.addresses) expect(isLoopback(address)).toBe(true);
    } finally {
      list.shutdown();
    }
  });
});
