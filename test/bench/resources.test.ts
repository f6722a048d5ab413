import { describe, expect, test } from "bun:test";
import { fileSystemName, machineFacts } from "../../lib/bench/resources/machine.ts";
import {
  cpuModel,
  fileSystemOf,
  machineCpuSeconds,
  processCpuSeconds,
  processIo,
  processMemory,
} from "../../lib/bench/resources/proc.ts";
import { processUse, ResourceSampler } from "../../lib/bench/resources/sampler.ts";
import { stolenFlag } from "../../lib/bench/resources/stolen.ts";
import { commandName, listeningPid } from "../../lib/os/port-owner.ts";
import { syntheticRun } from "./synthetic.ts";

describe("texts of /proc", () => {
  test("CPU of a process whose name holds blanks and a parenthesis", () => {
    const stat = `77 (a) b (c) S 1 77 77 0 -1 4194304 100 0 0 0 1250 350 9 9 20 0 ${"0 ".repeat(30)}`;
    expect(processCpuSeconds(stat)).toBe(16);
  });

  test("memory", () => {
    const status = "Name:\tx\nVmRSS:\t    1656 kB\nRssAnon:\t     112 kB\nRssFile:\t    1544 kB\n";
    expect(processMemory(status)).toEqual({ rssBytes: 1656 * 1024, anonymousBytes: 112 * 1024 });
    expect(processMemory("State: Z (zombie)\n")).toEqual({ rssBytes: 0, anonymousBytes: 0 });
  });

  test("disk of a process: what was truncated before it was written does not count", () => {
    const io = "rchar: 6\nwchar: 1\nread_bytes: 4096\nwrite_bytes: 10000\ncancelled_write_bytes: 4000\n";
    expect(processIo(io)).toEqual({ readBytes: 4096, writtenBytes: 6000 });
    expect(processIo("")).toEqual({ readBytes: 0, writtenBytes: 0 });
  });

  test("CPU of the machine", () => {
    const stat = "cpu  100 10 50 800 30 4 6 40 0 0\ncpu0 1 1 1 1\n";
    expect(machineCpuSeconds(stat)).toEqual({ busy: 2.1, total: 10.4, stolen: 0.4 });
  });

  test("CPU that the host took is said from 50 ms in one interval on", () => {
    const { samples } = syntheticRun({ rate: 100, us: 500, seconds: 3 });
    const stolen = (...seconds: number[]) => samples.map((sample, i) => ({ ...sample, stolenSeconds: seconds[i]! }));
    expect(stolenFlag(samples)).toEqual([]);
    expect(stolenFlag(stolen(0.04, 0.04, 0.04))).toEqual([]);
    const [flag, ...more] = stolenFlag(stolen(0.01, 0.33, 0));
    expect(more).toEqual([]);
    expect(flag).toMatchObject({
      id: "STOLEN",
      text: expect.stringContaining("0.34 s of this machine's CPU time, 0.33 s"),
    });
  });

  test("model of the processor", () => {
    expect(cpuModel("processor\t: 0\nmodel name\t: AMD EPYC 9\nmodel name\t: other\n")).toBe("AMD EPYC 9");
    expect(cpuModel("BogoMIPS : 50")).toBeUndefined();
  });

  test("file system: the longest mount point wins, on whole names, the last mount hides others", () => {
    const mounts = [
      "/dev/vda / ext4 rw 0 0",
      "/dev/vdb /data xfs rw 0 0",
      "tmpfs /data/with\\040blank tmpfs rw 0 0",
      "/dev/vdc /data btrfs rw 0 0",
    ].join("\n");
    expect(fileSystemOf(mounts, "/data/store")).toEqual({ type: "btrfs", device: "/dev/vdc" });
    expect(fileSystemOf(mounts, "/data/with blank/x")).toEqual({ type: "tmpfs", device: "tmpfs" });
    expect(fileSystemOf(mounts, "/database")).toEqual({ type: "ext4", device: "/dev/vda" });
    expect(fileSystemOf("", "/x")).toBeUndefined();
  });
});

describe.if(process.platform === "linux")("this machine", () => {
  test("facts", () => {
    const facts = machineFacts();
    expect(facts.kernel).toStartWith("Linux ");
    expect(facts.cores).toBeGreaterThan(0);
    expect(facts.memoryBytes).toBeGreaterThan(1 << 20);
    expect(fileSystemName(`${import.meta.dir}/not/there`)).toContain(" on ");
  });

  test("the process behind a port, and what it uses", async () => {
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const pid = await listeningPid(server.port);
    server.stop();
    expect(pid).toBe(process.pid);
    expect(await commandName(process.pid)).not.toBe("unknown");
    const sampler = new ResourceSampler({ self: process.pid, ended: 2 ** 22 + 1 });
    const sample = sampler.sample();
    expect(Object.keys(sample.processes)).toEqual(["self"]);
    expect(sample.processes.self!.rssBytes).toBeGreaterThan(sample.processes.self!.anonymousBytes);
    sampler.sample();
    expect(processUse(sampler.samples, "self")!.anonymousMaxBytes).toBeGreaterThan(0);
    expect(processUse(sampler.samples, "ended")).toBeUndefined();
  });
});
