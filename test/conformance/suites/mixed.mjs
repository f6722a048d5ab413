import { mq, startBroker, startNamesrv } from "../support/cluster.mjs";
import { driveJava } from "../support/driver.mjs";
import { run } from "../support/process.mjs";

const javaTools = ["java", "javac", "mvn"];

const mqBroker = {
  name: "mixed-mq-broker",
  about: "an mq broker on a Java name server, under the Java client",
  targets: ["mq"],
  needs: javaTools,
  async run({ report, suite, dir, own, themes }) {
    const namesrv = own(await startNamesrv("java", `${dir}/namesrv`));
    own(await startBroker("mq", `${dir}/broker`, namesrv.address));
    await driveJava(report, suite, {
      version: "v5",
      encoding: "JSON",
      namesrv: namesrv.address,
      run: "mixedm",
      themes,
      dir,
    });
  },
};

const javaBroker = {
  name: "mixed-java-broker",
  about: "a Java broker on an mq name server, under the old Java client",
  targets: ["mq"],
  needs: javaTools,
  async run({ report, suite, dir, own, themes }) {
    const namesrv = own(await startNamesrv("mq", `${dir}/namesrv`));
    own(await startBroker("java", `${dir}/broker`, namesrv.address));
    await driveJava(report, suite, {
      version: "v4",
      encoding: "JSON",
      namesrv: namesrv.address,
      run: "mixedj",
      themes,
      dir,
    });
  },
};

const mixedCluster = {
  name: "mixed-cluster",
  about: "a Java broker and an mq broker in one cluster, each registered with a Java and an mq name server",
  targets: ["mq"],
  needs: javaTools,
  async run({ report, suite, dir, own }) {
    const servers = await Promise.all(["java", "mq"].map((kind) => startNamesrv(kind, `${dir}/namesrv-${kind}`)));
    const namesrv = servers
      .map(own)
      .map((server) => server.address)
      .join(";");
    own(await startBroker("java", `${dir}/broker-a`, namesrv));
    own(await startBroker("mq", `${dir}/broker-b`, namesrv, { brokerName: "broker-b" }));
    for (const [version, encoding] of [
      ["v5", "ROCKETMQ"],
      ["v4", "JSON"],
    ]) {
      await driveJava(report, `${suite}/${version}`, {
        version,
        encoding,
        namesrv,
        run: `mixedc${version}`,
        themes: "cluster",
        dir,
      });
    }
  },
};

/** Runs mq with a home of its own, where broadcasting keeps offsets, and gives the lines of its standard output. */
async function runMq(home, args, timeoutMs) {
  const env = { NO_COLOR: "1", HOME: home };
  const { code, stdout, stderr } = await run(mq, args, { allowFailure: true, timeoutMs, env });
  return {
    code,
    lines: stdout.split("\n").filter(Boolean),
    stderr,
    all: `exit ${code}: ${stdout} ${stderr}`.slice(-1500),
  };
}

/** The commands against a cluster of either kind; the Java one is what the issue asks for. */
function tools(kind) {
  return {
    name: `mq-tools-${kind}`,
    about: `mq topic, mq produce and mq consume on a ${kind} cluster`,
    targets: ["mq"],
    needs: kind === "java" ? ["java", "mvn"] : [],
    async run({ report, suite, dir, own }) {
      const started = Date.now();
      const namesrv = own(await startNamesrv(kind, `${dir}/namesrv`));
      own(await startBroker(kind, `${dir}/broker`, namesrv.address));
      const n = ["-n", namesrv.address];
      const lines = (args, timeoutMs = 60_000) => runMq(dir, args, timeoutMs);
      const check = (name, ok, found) => report.check(suite, name, ok, () => found);

      const created = await lines([
        "topic",
        "create",
        ...n,
        "--topic",
        "tools",
        "--cluster",
        "DefaultCluster",
        "--read-queues",
        "4",
        "--write-queues",
        "4",
      ]);
      check("topic-create", created.code === 0, created.all);
      const listed = await lines(["topic", "list", ...n, "--json"]);
      check("topic-list", listed.code === 0 && listed.lines.join().includes('"tools"'), listed.all);
      const route = await lines(["topic", "route", ...n, "--topic", "tools", "--json"]);
      check("topic-route", route.code === 0 && route.lines.join().includes("broker-a"), route.all);

      const produced = await lines([
        "produce",
        ...n,
        "--topic",
        "tools",
        "--count",
        "50",
        "--key",
        "tool-key",
        "--tag",
        "red",
        "--json",
        "hello",
      ]);
      check("produce-sync", produced.code === 0, produced.all);
      const asynchronous = await lines([
        "produce",
        ...n,
        "--topic",
        "tools",
        "--count",
        "50",
        "--async",
        "--tag",
        "blue",
        "--json",
        "hello async",
      ]);
      check("produce-async", asynchronous.code === 0, asynchronous.all);
      const batched = await lines([
        "produce",
        ...n,
        "--topic",
        "tools",
        "--count",
        "20",
        "--batch",
        "10",
        "--tag",
        "blue",
        "--json",
        "hello batch",
      ]);
      check("produce-batch", batched.code === 0, batched.all);
      const status = await lines(["topic", "status", ...n, "--topic", "tools", "--json"]);
      const maxima = [...status.lines.join().matchAll(/"maxOffset":\s*(\d+)/g)].reduce(
        (sum, [, max]) => sum + Number(max),
        0,
      );
      check("topic-status", status.code === 0 && maxima === 120, status.all);

      const consumed = await lines([
        "consume",
        ...n,
        "--topic",
        "tools",
        "--group",
        "tools-push",
        "--from",
        "first",
        "--count",
        "120",
        "--timeout",
        "40s",
        "--format",
        "json",
      ]);
      check(
        "consume-push",
        consumed.code === 0 && consumed.lines.length === 120,
        `${consumed.lines.length} lines, ${consumed.all}`,
      );
      const tagged = await lines([
        "consume",
        ...n,
        "--topic",
        "tools",
        "--group",
        "tools-tag",
        "--from",
        "first",
        "--tag",
        "red",
        "--count",
        "50",
        "--timeout",
        "40s",
        "--format",
        "json",
      ]);
      check(
        "consume-tag",
        tagged.code === 0 && tagged.lines.length === 50 && tagged.lines.every((line) => line.includes("red")),
        `${tagged.lines.length} lines, ${tagged.all}`,
      );
      const pulled = await lines([
        "consume",
        ...n,
        "--topic",
        "tools",
        "--group",
        "tools-pull",
        "--from",
        "first",
        "--pull",
        "--count",
        "120",
        "--timeout",
        "40s",
        "--format",
        "json",
      ]);
      check(
        "consume-pull",
        pulled.code === 0 && pulled.lines.length === 120,
        `${pulled.lines.length} lines, ${pulled.all}`,
      );
      const orderly = await lines(
        [
          "consume",
          ...n,
          "--topic",
          "tools",
          "--group",
          "tools-orderly",
          "--from",
          "first",
          "--orderly",
          "--count",
          "120",
          "--timeout",
          "60s",
          "--format",
          "json",
        ],
        90_000,
      );
      check(
        "consume-orderly",
        orderly.code === 0 && orderly.lines.length === 120,
        `${orderly.lines.length} lines, ${orderly.all}`,
      );
      const broadcast = await lines([
        "consume",
        ...n,
        "--topic",
        "tools",
        "--group",
        "tools-broadcast",
        "--from",
        "first",
        "--broadcast",
        "--count",
        "120",
        "--timeout",
        "40s",
        "--format",
        "json",
      ]);
      check(
        "consume-broadcast",
        broadcast.code === 0 && broadcast.lines.length === 120,
        `${broadcast.lines.length} lines, ${broadcast.all}`,
      );

      const deleted = await lines(["topic", "delete", ...n, "--topic", "tools", "--cluster", "DefaultCluster"]);
      check("topic-delete", deleted.code === 0, deleted.all);
      const absent = await lines(["topic", "route", ...n, "--topic", "tools"]);
      check("deleted-topic-has-no-route", absent.code !== 0, absent.all);
      report.end(suite, started);
    },
  };
}

export const mixedSuites = [mqBroker, javaBroker, mixedCluster, tools("java"), tools("mq")];
