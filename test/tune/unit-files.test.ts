import { afterEach, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { apply } from "../../lib/tune/apply.ts";
import { check } from "../../lib/tune/check.ts";
import { Machine } from "../../lib/tune/machine.ts";
import type { TuneOptions } from "../../lib/tune/types.ts";
import { readUnit } from "../../lib/tune/unit-files.ts";
import { DEBIAN, makeTree, type TreeFiles } from "./trees.ts";

const roots: string[] = [];

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

function machine(files: TreeFiles): Machine {
  const root = makeTree({ ...DEBIAN, ...files });
  roots.push(root);
  return new Machine(root);
}

function found(files: TreeFiles, id: string, options: Partial<TuneOptions> = {}) {
  return check(machine(files), { profile: "classic", ...options }).checks.find((result) => result.id === id);
}

const SYSTEM = "/etc/systemd/system";
const service = (lines: string) => `[Service]\n${lines}\n`;
const nofile = (files: TreeFiles, options: Partial<TuneOptions> = {}) => found(files, "limits.nofile-service", options);

describe("what counts for a unit", () => {
  test("systemd's own default where the unit says nothing", () => {
    expect(nofile({ "/etc/systemd/system.conf": "[Manager]\nDefaultLimitNOFILE=700000\n" })).toMatchObject({
      status: "OK",
      source: "/etc/systemd/system.conf:2",
    });
    const later = { "/etc/systemd/system.conf.d/9.conf": "[Manager]\nDefaultLimitNOFILE=5:6\n" };
    expect(nofile({ "/etc/systemd/system.conf": "[Manager]\nDefaultLimitNOFILE=700000\n", ...later })?.live).toBe(
      "5:6",
    );
  });

  test("an empty value takes back what was set before", () => {
    expect(nofile({ [`${SYSTEM}/mq-broker.service`]: service("LimitNOFILE=655360\nLimitNOFILE=") })?.live).toBe(
      "1024:524288",
    );
  });

  test("drop-ins of all services, of the name's first part, of set-property; the own one wins at the same name", () => {
    expect(nofile({ [`${SYSTEM}/service.d/10.conf`]: service("LimitNOFILE=700000") })?.status).toBe("OK");
    expect(nofile({ [`${SYSTEM}/mq-.service.d/10.conf`]: service("LimitNOFILE=700000") })?.status).toBe("OK");
    expect(
      nofile({
        [`${SYSTEM}/service.d/10.conf`]: service("LimitNOFILE=5"),
        [`${SYSTEM}/mq-broker.service.d/10.conf`]: service("LimitNOFILE=700000"),
      })?.live,
    ).toBe("700000:700000");
    const control = { [`${SYSTEM}.control/mq-broker.service.d/50-MemoryMax.conf`]: service("MemoryMax=1G") };
    expect(found(control, "unit.memory-max")).toMatchObject({ status: "WARN", live: "1G" });
  });

  test("an instance of a template", () => {
    const files = { [`${SYSTEM}/mq@.service`]: service("LimitNOFILE=700000") };
    expect(nofile(files, { unit: "mq@a" })?.status).toBe("OK");
  });

  test("continued lines, and Environment adds up", () => {
    const tree = machine({
      [`${SYSTEM}/mq-broker.service`]: service(
        "Environment=BUN_JSC_x=1 \\\n  A=2\nLimitNOFILE=7\nEnvironment=BUN_OPTIONS=3",
      ),
    });
    const unit = readUnit(tree, "mq-broker");
    expect(unit.get("Environment")?.value).toBe("BUN_JSC_x=1  A=2 BUN_OPTIONS=3");
    expect(unit.get("LimitNOFILE")?.source).toBe(`${SYSTEM}/mq-broker.service:4`);
  });
});

describe("threads", () => {
  test("TasksMax below 4096 is named and raised", () => {
    const files = { [`${SYSTEM}/mq-broker.service`]: service("TasksMax=100") };
    expect(found(files, "limits.nproc")).toMatchObject({
      status: "WARN",
      reason: `${SYSTEM}/mq-broker.service:2 allows 100 tasks (TasksMax), want 4096`,
    });
    const tree = machine(files);
    apply(tree, { profile: "classic", version: "test", only: ["limits.nproc"] });
    expect(tree.text(`${SYSTEM}/mq-broker.service.d/90-mq-tune.conf`)).toContain("[Service]\nTasksMax=4096\n");
    expect(check(tree, { profile: "classic", only: ["limits.nproc"] }).checks[0]?.status).toBe("OK");
  });

  test("pids.max of a container is named", () => {
    const files = { "/run/.containerenv": "", "/sys/fs/cgroup/init.scope/pids.max": "100\n" };
    expect(found(files, "limits.nproc")?.reason).toContain("may have 100 tasks (pids.max)");
  });
});

describe("MemoryMax", () => {
  test("is written where nobody chose one", () => {
    const tree = machine({});
    const options = { profile: "modern", only: ["unit.memory-max"] } as const;
    apply(tree, { ...options, version: "test" });
    expect(tree.text(`${SYSTEM}/mq-broker.service.d/90-mq-tune.conf`)).toContain("[Service]\nMemoryMax=90%\n");
    expect(check(tree, options).checks[0]?.status).toBe("OK");
  });

  test("a chosen one stays; too little is named", () => {
    const of = (value: string) =>
      found({ [`${SYSTEM}/mq-broker.service`]: service(`MemoryMax=${value}`) }, "unit.memory-max");
    expect(of("8G")).toMatchObject({ status: "OK", changes: [] });
    expect(of("1G")).toMatchObject({ status: "WARN", changes: [] });
    expect(of("10%")).toMatchObject({ status: "WARN", changes: [] });
  });
});
