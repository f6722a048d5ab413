import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBroker } from "../../lib/broker/broker.ts";
import { defaultBrokerConfig } from "../../lib/config/broker-config.ts";
import { type Cluster, startCluster, startOwnCluster } from "../support/cluster.ts";
import { quietLogger } from "../support/quiet-logger.ts";
import { runMq, spawnMq } from "../support/run-mq.ts";

/** `mq produce`, `mq consume` and `mq topic` as a user calls them, from source, against servers in this process. */
let cluster: Cluster;
const TIMEOUT_MS = 60_000;
let serial = 0;

beforeAll(async () => {
  cluster = await startCluster();
}, TIMEOUT_MS);

afterAll(() => cluster.stop(), TIMEOUT_MS);

function unique(name: string): string {
  return `${name}-${process.pid}-${Date.now().toString(36)}-${serial++}`;
}

function mq(args: string[], stdin?: string) {
  return runMq(args, { env: { NAMESRV_ADDR: cluster.namesrvAddr }, ...(stdin === undefined ? {} : { stdin }) });
}

async function newTopic(queues = 1): Promise<string> {
  const topic = unique("topic");
  expect(await mq(["topic", "create", "-t", topic, "-r", `${queues}`, "-w", `${queues}`])).toMatchObject({
    exitCode: 0,
    stderr: "",
  });
  return topic;
}

/** Everything in the topic, as `mq consume --json` prints it. */
async function readAll(topic: string, count: number): Promise<Record<string, unknown>[]> {
  const args = ["consume", "-t", topic, "--from", "first", "--count", `${count}`, "--timeout", "20s", "--json"];
  const { stdout, exitCode } = await mq(args);
  const lines = stdout.trimEnd().split("\n");
  expect({ exitCode, lines: lines.length }).toEqual({ exitCode: 0, lines: count });
  return lines.map((line) => JSON.parse(line));
}

describe("mq produce", () => {
  test("one message with keys, tag and properties", async () => {
    const topic = await newTopic();
    const args = [
      "produce",
      "-t",
      topic,
      "hello",
      "--key",
      "k1",
      "--key=k2",
      "--tag",
      "T",
      "--property",
      "a=b=c",
      "--json",
    ];
    const { stdout, exitCode } = await mq(args);
    expect(exitCode).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ topic, sent: 1, failed: 0, statuses: { SEND_OK: 1 }, last: { queueOffset: 0 } });
    expect(await readAll(topic, 1)).toMatchObject([
      { body: "hello", keys: ["k1", "k2"], tags: "T", properties: { a: "b=c" }, msgId: report.last.msgId },
    ]);
  });

  test("lines of stdin, in order, empty ones left out", async () => {
    const topic = await newTopic();
    const { stdout, exitCode } = await mq(["produce", "-t", topic], "one\r\n\ntwo\nthree");
    expect({ exitCode, first: stdout.split("\n")[0] }).toMatchObject({
      exitCode: 0,
      first: expect.stringMatching(/^sent 3, failed 0 in /),
    });
    expect((await readAll(topic, 3)).map(({ body }) => body)).toEqual(["one", "two", "three"]);
  });

  test("JSON lines, and what consume prints goes back in", async () => {
    const topic = await newTopic();
    const line = { body: "b", keys: ["x"], tags: "y", properties: { p: "q" } };
    const stdin = `${JSON.stringify(line)}\n{"bodyBase64":"/w=="}\n`;
    expect(await mq(["produce", "-t", topic, "--jsonl"], stdin)).toMatchObject({ exitCode: 0 });
    const printed = await readAll(topic, 2);
    expect(printed).toMatchObject([line, { bodyBase64: "/w==" }]);
    const copy = await newTopic();
    const lines = printed.map((message) => JSON.stringify({ ...message, topic: copy })).join("\n");
    expect(await mq(["produce", "-t", copy, "--jsonl"], lines)).toMatchObject({ exitCode: 0 });
    expect(await readAll(copy, 2)).toMatchObject([line, { bodyBase64: "/w==" }]);
  });

  test("a line that cannot be read ends it, after a report of what was sent", async () => {
    const topic = await newTopic();
    const { stdout, stderr, exitCode } = await mq(
      ["produce", "-t", topic, "--jsonl"],
      '{"body":"a"}\n{"bady":"b"}\n{"body":"c"}',
    );
    expect(exitCode).toBe(64);
    expect(stdout).toContain("sent 1, failed 0");
    expect(stderr).toContain('line 2 of stdin: want either "body" or "bodyBase64"');
  });

  test("generated bodies, batches and many in flight", async () => {
    const topic = await newTopic(4);
    for (const mode of [["--async"], ["--batch", "10"], ["--oneway"]]) {
      const args = ["produce", "-t", topic, "--size", "1k", "--count", "100", ...mode, "--json"];
      const { stdout, exitCode } = await mq(args);
      expect([mode, exitCode, JSON.parse(stdout).sent]).toEqual([mode, 0, 100]);
    }
    const bodies = await readAll(topic, 300);
    expect(bodies.every(({ body }) => (body as string).length === 1024)).toBe(true);
  });

  test("--hash keeps a queue, --queue names one", async () => {
    const topic = await newTopic(4);
    await mq(["produce", "-t", topic, "x", "--count", "5", "--hash", "customer"]);
    await mq(["produce", "-t", topic, "y", "--queue", "3"]);
    const messages = await readAll(topic, 6);
    expect(new Set(messages.filter(({ body }) => body === "x").map(({ queueId }) => queueId)).size).toBe(1);
    expect(messages.find(({ body }) => body === "y")?.queueId).toBe(3);
    const wrong = await mq(["produce", "-t", topic, "y", "--queue", "9"]);
    expect(wrong).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('--queue is "9", want one of') });
  });

  test("flags that exclude each other are refused; a delay level beyond RocketMQ's is said", async () => {
    const both = await mq(["produce", "-t", "t", "x", "--async", "--oneway"]);
    expect(both).toMatchObject({ exitCode: 64, stderr: expect.stringContaining("--async and --oneway") });
    const late = await mq(["produce", "-t", await newTopic(), "x", "--delay-level", "19"]);
    expect(late).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("--delay-level 19") });
  });

  test("a message that failed makes the exit code 1 and says why", async () => {
    const { stdout, stderr, exitCode } = await mq(["produce", "-t", "SCHEDULE_TOPIC_XXXX", "x", "--retries", "0"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("SCHEDULE_TOPIC_XXXX");
    expect(stdout === "" || stdout.startsWith("sent 0, failed 1")).toBe(true);
  });

  test("no name server: one line, exit code 1", async () => {
    const { stdout, stderr, exitCode } = await runMq(["produce", "-t", "t", "x"]);
    expect([stdout, exitCode]).toEqual(["", 1]);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).toContain("127.0.0.1:1");
  });

  test(
    "Ctrl-C ends with the report",
    async () => {
      const topic = await newTopic();
      const args = ["produce", "-t", topic, "x", "--rate", "50", "--count", "100000", "--json"];
      const child = spawnMq(args, { env: { NAMESRV_ADDR: cluster.namesrvAddr } });
      const stdout = new Response(child.stdout).text();
      for (;;) {
        const { stdout: status } = await mq(["topic", "status", "-t", topic, "--json"]);
        if (JSON.parse(status).messages > 0) break;
      }
      child.kill("SIGINT");
      expect(await child.exited).toBe(0);
      const report = JSON.parse(await stdout);
      expect(report.failed).toBe(0);
      expect(report.sent).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  test.each([
    [["produce", "hello"], "--topic is missing"],
    [["produce", "-t", "a b", "x"], '--topic is "a b"'],
    [["produce", "-t", "t", "x", "--count", "0"], "--count is 0, want a whole number from 1 on"],
    [["produce", "-t", "t", "x", "--cuont", "3"], "did you mean --count?"],
    [["produce", "-t", "t", "x", "-n", "nonsense"], '--namesrv is "nonsense"'],
    [["produce", "-t", "t", "x", "--property", "novalue"], '--property is "novalue", want name=value'],
    [["produce", "-t", "t", "x", "--size", "1k"], "say once what to send"],
    [["consume", "-t", "t", "--from", "yesterday"], '--from is "yesterday"'],
    [["consume", "-t", "t", "--format", "xml"], "xml"],
    [["consume", "-t", "t", "--allocate", "FAIR"], '"FAIR" is not one of AVG'],
    [["topic", "create", "-t", "t", "-p", "9"], "--perm is 9, want"],
    [["topic", "craete"], "did you mean create?"],
    [["consume", "-t", "t", "--format", "jsno"], '--format is "jsno", want text, json, body; did you mean json?'],
  ])("%p is a usage error", async (args, text) => {
    const { stderr, stdout, exitCode } = await mq(args);
    expect({ stdout, exitCode, stderr }).toEqual({ stdout: "", exitCode: 64, stderr: expect.stringContaining(text) });
  });
});

describe("mq consume", () => {
  test(
    "a group goes on where it stopped, with and without commit",
    async () => {
      const topic = await newTopic();
      const group = unique("group");
      await mq(["produce", "-t", topic], "1\n2\n3\n4");
      const read = (count: number, ...more: string[]) =>
        mq([
          "consume",
          "-t",
          topic,
          "-g",
          group,
          "--from",
          "first",
          "--count",
          `${count}`,
          "--format",
          "body",
          ...more,
        ]);
      expect((await read(1, "--no-commit")).stdout).toBe("1\n");
      expect((await read(2)).stdout).toBe("1\n2\n");
      expect((await read(2, "--pull")).stdout).toBe("3\n4\n");
      const more = await read(1, "--timeout", "500ms");
      expect(more).toMatchObject({ exitCode: 1, stdout: "", stderr: expect.stringContaining("ended after 0 of 1") });
    },
    TIMEOUT_MS,
  );

  test(
    "Ctrl-C commits and says so",
    async () => {
      const topic = await newTopic();
      const group = unique("group");
      await mq(["produce", "-t", topic], "1\n2");
      const env = { NAMESRV_ADDR: cluster.namesrvAddr };
      const child = spawnMq(["consume", "-t", topic, "-g", group, "--from", "first", "--orderly"], { env });
      const reader = child.stdout.getReader();
      let seen = "";
      while (seen.split("\n").length < 3) seen += Buffer.from((await reader.read()).value ?? []).toString();
      expect(seen).toMatch(/^\S+:0@0 \| 1\n\S+:0@1 \| 2\n$/);
      child.kill("SIGINT");
      expect(await child.exited).toBe(0);
      expect(await new Response(child.stderr).text()).toContain("2 messages, offsets committed");
      await mq(["produce", "-t", topic, "3"]);
      const next = await mq(["consume", "-t", topic, "-g", group, "--count", "1", "--format", "body"]);
      expect(next.stdout).toBe("3\n");
    },
    TIMEOUT_MS,
  );

  test(
    "a closed pipe ends it quietly",
    async () => {
      const topic = await newTopic();
      await mq(["produce", "-t", topic, "--size", "1k", "--count", "2000", "--async"]);
      const child = spawnMq(["consume", "-t", topic, "--from", "first"], {
        env: { NAMESRV_ADDR: cluster.namesrvAddr },
      });
      const reader = child.stdout.getReader();
      await reader.read();
      await reader.cancel();
      await mq(["produce", "-t", topic, "--size", "1k", "--count", "200", "--async"]);
      expect(await child.exited).toBe(0);
      expect(await new Response(child.stderr).text()).not.toContain("EPIPE");
    },
    TIMEOUT_MS,
  );

  test(
    "without a group several look at once and disturb nobody",
    async () => {
      const [one, two] = [await newTopic(), await newTopic()];
      await mq(["produce", "-t", one, "1"]);
      await mq(["produce", "-t", two, "2"]);
      const look = (topic: string) =>
        mq(["consume", "-t", topic, "--from", "first", "--idle", "700ms", "--format", "body"]);
      const seen = await Promise.all([look(one), look(two), look(one), look(two)]);
      expect(seen.map(({ stdout }) => stdout)).toEqual(["1\n", "2\n", "1\n", "2\n"]);
    },
    TIMEOUT_MS,
  );

  test(
    "tags, times and broadcasting",
    async () => {
      const topic = await newTopic();
      for (const tag of ["a", "b", "c"]) await mq(["produce", "-t", topic, tag, "--tag", tag]);
      const read = (...more: string[]) => mq(["consume", "-t", topic, "--format", "body", "--idle", "700ms", ...more]);
      expect((await read("--from", "first", "--tag", "a || c")).stdout).toBe("a\nc\n");
      expect((await read("--from", "1h")).stdout).toBe("a\nb\nc\n");
      expect((await read("--from", "2099-01-01T00:00:00Z")).stdout).toBe("");
      expect((await read("--from", "last")).stdout).toBe("");
      expect((await read("--from", "first", "--broadcast")).stdout).toBe("a\nb\nc\n");
    },
    TIMEOUT_MS,
  );
});

describe("mq topic", () => {
  test(
    "create, list, update, route, status, delete",
    async () => {
      const topic = unique("orders");
      const created = JSON.parse(
        (await mq(["topic", "create", "-t", topic, "-r", "2", "-w", "3", "-p", "rw", "--json"])).stdout,
      );
      expect(created.brokers).toMatchObject([{ created: true, readQueueNums: 2, writeQueueNums: 3, perm: 6 }]);
      expect(JSON.parse((await mq(["topic", "list", "--json"])).stdout).topics).toContain(topic);
      expect((await mq(["topic", "list"])).stdout).not.toContain("TBW102");
      expect((await mq(["topic", "list", "--all"])).stdout).toContain("TBW102");
      const updated = JSON.parse((await mq(["topic", "update", "-t", topic, "--perm", "4", "--json"])).stdout);
      expect(updated.brokers).toMatchObject([{ created: false, readQueueNums: 2, writeQueueNums: 3, perm: 4 }]);
      const route = JSON.parse((await mq(["topic", "route", "-t", topic, "--json"])).stdout);
      expect(route.queueDatas).toMatchObject([{ readQueueNums: 2, writeQueueNums: 3, perm: 4 }]);
      expect(Object.keys(route.brokerDatas[0].brokerAddrs)).toEqual(["0"]);
      const status = JSON.parse((await mq(["topic", "status", "-t", topic, "--json"])).stdout);
      expect(status).toMatchObject({ topic, messages: 0 });
      expect(status.queues).toHaveLength(3);
      expect((await mq(["topic", "status", "-t", topic])).stdout).toContain("0 messages in 3 queues");
      expect((await mq(["topic", "delete", "-t", topic])).exitCode).toBe(0);
      const gone = await mq(["topic", "route", "-t", topic]);
      expect(gone).toMatchObject({ exitCode: 1, stdout: "", stderr: expect.stringContaining(`find topic "${topic}"`) });
    },
    TIMEOUT_MS,
  );

  test("only existing topics are updated", async () => {
    const { exitCode, stderr } = await mq(["topic", "update", "-t", unique("none"), "-w", "1"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("create it with: mq topic create");
  });

  test("a wrong cluster is refused with the known ones", async () => {
    for (const verb of [["create", "-t", "t"], ["list"]]) {
      const { exitCode, stdout, stderr } = await mq(["topic", ...verb, "-c", "nowhere"]);
      expect([exitCode, stdout, stderr]).toEqual([1, "", expect.stringContaining("DefaultCluster")]);
    }
  });

  test(
    "update changes the brokers that have the topic and passes over the others",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "mq-second-"));
      const own = await startOwnCluster();
      const second = createBroker(
        defaultBrokerConfig({
          brokerName: "another",
          listenPort: 0,
          bindAddress: "127.0.0.1",
          brokerIP1: "127.0.0.1",
          brokerIP2: "127.0.0.1",
          namesrvAddr: own.namesrvAddr,
          storePathRootDir: join(directory, "store"),
          storePathCommitLog: join(directory, "store", "commitlog"),
          mappedFileSizeCommitLog: 16 * 1024 * 1024,
        }),
        { logger: quietLogger() },
      );
      try {
        await second.start();
        await second.registered;
        const env = { NAMESRV_ADDR: own.namesrvAddr };
        const there = `127.0.0.1:${second.listenPort}`;
        await runMq(["topic", "create", "-t", "part", "-b", there, "-r", "2", "-w", "2"], { env });
        const { stdout, stderr } = await runMq(["topic", "update", "-t", "part", "-w", "1", "--json"], { env });
        expect(stderr).toBe("");
        expect(JSON.parse(stdout).brokers).toMatchObject([{ broker: "another", readQueueNums: 2, writeQueueNums: 1 }]);
      } finally {
        await second.stop();
        await own.stop();
        rmSync(directory, { recursive: true, force: true });
      }
    },
    TIMEOUT_MS,
  );
});

describe("mq cluster", () => {
  test("list names every broker with its role and what follows it", async () => {
    const { stdout, exitCode } = await mq(["cluster", "list", "--json"]);
    expect(exitCode).toBe(0);
    const { brokers } = JSON.parse(stdout);
    expect(brokers[0]).toMatchObject({ brokerId: 0, role: "master", slaves: [], inSyncSlaves: 0 });
    expect(brokers[0].maxOffset).toBeGreaterThanOrEqual(0);
    const table = (await mq(["cluster", "list"])).stdout.split("\n");
    expect(table[0]).toStartWith("CLUSTER");
    expect(table[1]).toContain(brokers[0].address);
  });

  test("an unknown cluster is refused with those there are", async () => {
    const { stderr, exitCode } = await mq(["cluster", "list", "-c", "nowhere"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('find cluster "nowhere"');
  });
});
