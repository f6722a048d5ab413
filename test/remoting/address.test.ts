import { expect, test } from "bun:test";
import { formatAddress, hostBytes, parseAddress, plainIp } from "../../lib/remoting/address.ts";

test("addresses are split at the last colon", () => {
  expect(parseAddress("localhost:9876")).toEqual({ hostname: "localhost", port: 9876 });
  expect(parseAddress("[::1]:10911")).toEqual({ hostname: "::1", port: 10911 });
  expect(parseAddress("fe80::1:10911")).toEqual({ hostname: "fe80::1", port: 10911 });
  for (const bad of ["", ":9876", "host", "host:", "host:0", "host:65536", "host:x"])
    expect(() => parseAddress(bad)).toThrow(`parse address "${bad}"`);
});

test("hosts as records carry them", () => {
  expect(hostBytes("10.0.0.1", 10911).toString("hex")).toBe("0a00000100002a9f");
  expect(hostBytes("::ffff:10.0.0.1", 10911).toString("hex")).toBe("0a00000100002a9f");
  expect(hostBytes("::1", 1).toString("hex")).toBe("0000000000000000000000000000000100000001");
  expect(hostBytes("fe80::1:2%eth0", 1).toString("hex")).toBe("fe80000000000000000000000001000200000001");
  expect(hostBytes("1:2:3:4:5:6:7:8", 1).toString("hex")).toBe("0001000200030004000500060007000800000001");
  for (const bad of ["", "1.2.3", "1.2.3.256", "host", "1:2:3", "1::2::3", "12345::"])
    expect(() => hostBytes(bad, 1)).toThrow("parse IP address");
});

test("peers are shown as ip:port", () => {
  expect(formatAddress("10.0.0.1", 5)).toBe("10.0.0.1:5");
  expect(formatAddress("::1", 5)).toBe("[::1]:5");
  expect(plainIp("::ffff:10.0.0.1")).toBe("10.0.0.1");
});
