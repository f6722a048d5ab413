import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mq, mqadmin, startBroker, startNamesrv } from "../support/cluster.mjs";
import { run } from "../support/process.mjs";

const ACCESS_KEY = "bencher";
const SECRET_KEY = "12345678";
const PROVIDERS = "org.apache.rocketmq.auth.authentication.provider";

/** A Java broker that answers signed requests only [AuthConfig]. */
const signedOnly = {
  authenticationEnabled: "true",
  authenticationProvider: `${PROVIDERS}.DefaultAuthenticationProvider`,
  authenticationMetadataProvider: `${PROVIDERS}.LocalAuthenticationMetadataProvider`,
  initAuthenticationUser: JSON.stringify({ username: ACCESS_KEY, password: SECRET_KEY }),
  innerClientAuthenticationCredentials: JSON.stringify({ accessKey: ACCESS_KEY, secretKey: SECRET_KEY }),
  enablePropertyFilter: "true",
  traceTopicEnable: "true",
};

/** Most are decided by the broker's check-back. */
const checked = ["--unknown-rate", "0.8", "--check-rollback-rate", "0.25", "--check-unknown-rate", "0.3"];

/** Loads whose every message must come once to every group: arguments, and deliveries for each message acknowledged. */
const loads = [
  ["e2e", ["e2e", "--count", "500", "--keys", "--size", "10..3k"], 1],
  ["e2e-json", ["e2e", "--count", "500", "--headers", "json", "--rate", "2k"], 1],
  ["e2e-small", ["e2e", "--count", "500", "--size", "9"], 1],
  ["batch", ["batch", "--receive", "--count", "512"], 1],
  ["delay", ["delay", "--count", "20"], 1],
  ["transaction", ["transaction", "--count", "200", "--rollback-rate", "0.5"], 1],
  ["transaction-checked", ["transaction", "--count", "200", "--rollback-rate", "0.25", ...checked], 1],
  ["compressed-lz4", ["e2e", "--count", "200", "--size", "8k", "--compress", "LZ4"], 1],
  ["compressed-zstd", ["e2e", "--count", "200", "--size", "20", "--compress", "ZSTD:3", "--compress-over", "1"], 1],
  ["sql", ["e2e", "--count", "200", "-f", "SQL92", "-e", "a > 3", "--properties", "a=5"], 1],
  ["retry-two-groups", ["e2e", "--count", "200", "--fail-rate", "0.1", "--groups", "2", "--in-flight", "4"], 2],
];

export const benchSuite = {
  name: "mq-bench-java",
  about: "mq bench with every request signed on a Java broker that asks for it, and its message trace in mqadmin",
  targets: ["mq"],
  needs: ["java", "mvn"],
  async run({ report, suite, dir, own }) {
    const started = Date.now();
    const namesrv = own(await startNamesrv("java", `${dir}/namesrv`));
    const authConfigPath = join(dir, "broker", "auth");
    own(await startBroker("java", `${dir}/broker`, namesrv.address, { ...signedOnly, authConfigPath }));
    const check = (name, ok, found) => report.check(suite, name, ok, () => found);
    const bench = (args, env) =>
      run(mq, ["bench", ...args, "-n", namesrv.address, "--quiet"], {
        cwd: dir,
        env: { NO_COLOR: "1", MQ_ACCESS_KEY: "", MQ_SECRET_KEY: "", ...env },
        allowFailure: true,
      });
    const env = { MQ_ACCESS_KEY: ACCESS_KEY, MQ_SECRET_KEY: SECRET_KEY };

    const nobody = await bench(["produce", "--count", "1"]);
    check("refused-without-keys", /NO_PERMISSION/.test(nobody.stderr), nobody.stderr);
    const wrong = await bench(["produce", "--count", "1", "--accessKey", ACCESS_KEY, "--secretKey", "wrong"]);
    check("refused-with-a-wrong-key", /NO_PERMISSION/.test(wrong.stderr), wrong.stderr);
    const flags = await bench(["produce", "--count", "9", "-a", "--accessKey", ACCESS_KEY, "--secretKey", SECRET_KEY]);
    check("keys-as-flags", /service .* 9\n/.test(flags.stdout), flags.stderr + flags.stdout);

    for (const [name, args, deliveries] of loads) {
      const file = join(dir, `${name}.json`);
      const { stdout, stderr } = await bench([...args, "--json", file], env);
      let ledger;
      try {
        ({ ledger } = JSON.parse(readFileSync(file, "utf8")).runs[0]);
      } catch {
        // Said below with what was printed.
      }
      const whole =
        ledger?.acked > 0 && ledger.received === deliveries * ledger.acked && ledger.lost + ledger.corrupt === 0;
      check(name, whole && ledger.duplicates === 0, `${stderr}${stdout}`);
    }

    const admin = join(dir, "admin");
    mkdirSync(join(admin, "conf"), { recursive: true });
    writeFileSync(join(admin, "conf", "tools.yml"), `accessKey: ${ACCESS_KEY}\nsecretKey: "${SECRET_KEY}"\n`);
    const words = join(dir, "words.txt");
    writeFileSync(words, "many words ".repeat(100));
    const told = [];
    for (const type of ["LZ4", "ZSTD", "ZLIB"]) {
      const topic = `mq-bench-${type}`;
      const file = join(dir, `${type}.json`);
      const sent = [
        "produce",
        "-t",
        topic,
        "--keep",
        "--count",
        "4",
        "--size",
        "5000",
        "--payload",
        words,
        "--json",
        file,
      ];
      await bench([...sent, "--compress", type], env);
      const shown = await mqadmin(admin, ["printMsg", "-n", namesrv.address, "-t", topic]);
      const bodies = shown.stdout.match(/(?:many words ){400}/g)?.length;
      check(`${type}-read-by-java`, bodies === 4, `${bodies} bodies: ${shown.stdout}${shown.stderr}`);
      const read = join(dir, `${type}-read.json`);
      await bench(["consume", "-t", topic, "--count", "4", "--json", read], env);
      for (const one of [file, read]) told.push(JSON.parse(readFileSync(one, "utf8")).runs[0].clock);
    }
    // One machine has one clock, of which the broker tells milliseconds.
    const isOne = ({ own, producers }) =>
      own.errorUs < 5000 && Math.abs(own.aheadUs) < 5000 && producers.every(({ clock }) => clock !== undefined);
    check("clocks-compared", told.length === 6 && told.every(isOne), JSON.stringify(told));

    const traced = await bench(["e2e", "--count", "5", "-m", "-t", "mq-bench-traced", "--keep"], env);
    check("trace-sent", /LOST 0/.test(traced.stdout), traced.stderr + traced.stdout);
    const consume = ["consume", "-t", "mq-bench-traced", "-g", "ids", "--from", "first", "--count", "1", "--json"];
    const first = await run(mq, [...consume, "-n", namesrv.address], { cwd: dir, env, allowFailure: true });
    const { msgId } = JSON.parse(first.stdout.split("\n")[0] || "{}");
    const found = await mqadmin(admin, ["queryMsgTraceById", "-n", namesrv.address, "-i", String(msgId)]);
    const hasBoth = /Pub\s+mq-bench .*success[\s\S]*Sub\s+mq-bench .*success/.test(found.stdout);
    check("trace-found-by-mqadmin", hasBoth, `${msgId}: ${first.stderr}${found.stdout}${found.stderr}`);
    report.end(suite, started);
  },
};
