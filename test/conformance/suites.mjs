import { benchSuite } from "./suites/bench.mjs";
import { clusterSuites } from "./suites/cluster.mjs";
import { crashSuites } from "./suites/crash.mjs";
import { mixedSuites } from "./suites/mixed.mjs";
import { mqadminSuite } from "./suites/mqadmin.mjs";
import { storeSuites } from "./suites/store.mjs";
import { goSuite, nodeSuite } from "./support/cache.mjs";
import { registered, startBroker, startNamesrv } from "./support/cluster.mjs";
import { driveJava, driveProgram } from "./support/driver.mjs";
import { createTopic } from "./support/remoting.mjs";

const javaTools = ["java", "javac", "mvn"];

/** A name server and a broker of the target's kind in the suite's folder. */
async function cluster({ target, dir, own }, overrides) {
  const namesrv = own(await startNamesrv(target, `${dir}/namesrv`));
  const broker = own(await startBroker(target, `${dir}/broker`, namesrv.address, overrides));
  return { namesrv, broker };
}

/** All themes of the official Java client, one version and both header encodings at once on one cluster. */
function javaClient(version, label) {
  return {
    name: `java-client-${label}`,
    about: `every theme of the official Java client ${label}, headers in ROCKETMQ and in JSON encoding`,
    targets: ["mq", "java"],
    needs: javaTools,
    async run(context) {
      const { namesrv } = await cluster(context);
      const { report, suite, dir, themes } = context;
      await Promise.all(
        ["ROCKETMQ", "JSON"].map((encoding) =>
          driveJava(report, `${suite}/${encoding}`, {
            version,
            encoding,
            namesrv: namesrv.address,
            run: `${version}${encoding[0]}`,
            themes,
            dir,
          }),
        ),
      );
    },
  };
}

/** The broker is stopped and killed under clients that stay connected; it comes back on the same port. */
const restart = {
  name: "broker-restart",
  about: "a broker stops in order and is killed, a name server is killed, under Java clients that stay",
  targets: ["mq", "java"],
  needs: javaTools,
  async run(context) {
    const { report, suite, target, dir, own } = context;
    const { namesrv, broker } = await cluster(context, { registerNameServerPeriod: "10000" });
    let current = broker;
    const again = async (signal) => {
      await current.stop(signal);
      current = own(
        await startBroker(target, `${dir}/broker`, namesrv.address, {
          listenPort: String(broker.port),
          registerNameServerPeriod: "10000",
        }),
      );
    };
    const answers = {
      stop: () => again("SIGTERM"),
      kill: () => again("SIGKILL"),
      namesrv: async () => {
        await namesrv.stop("SIGKILL");
        own(await startNamesrv(target, `${dir}/namesrv`, namesrv.port));
        await registered(current, namesrv.address);
      },
    };
    await driveJava(report, suite, {
      version: "v5",
      encoding: "ROCKETMQ",
      namesrv: namesrv.address,
      run: "restart",
      themes: "broker-restart",
      dir,
      answers,
    });
  },
};

/** Files are a megabyte and may go at once, so that queues no longer begin at offset 0. */
const middle = {
  name: "consume-from-middle",
  about: "first, last and timestamp on a topic whose oldest messages are deleted",
  targets: ["mq", "java"],
  needs: javaTools,
  async run(context) {
    const { report, suite, dir } = context;
    const everyHour = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0")).join(";");
    const overrides = {
      mappedFileSizeCommitLog: String(1024 * 1024),
      fileReservedTime: "0",
      deleteWhen: everyHour,
      cleanResourceInterval: "1000",
    };
    const { namesrv } = await cluster(context, overrides);
    await driveJava(report, suite, {
      version: "v5",
      encoding: "ROCKETMQ",
      namesrv: namesrv.address,
      run: "middle",
      themes: "consume-from-middle",
      dir,
    });
  },
};

const go = {
  name: "go-client",
  about: "the Go client: sends of every kind, push-consume",
  targets: ["mq", "java"],
  needs: ["go"],
  async run(context) {
    const { namesrv } = await cluster(context);
    await driveProgram(context.report, context.suite, {
      command: await goSuite(),
      namesrv: namesrv.address,
      run: "go",
      dir: context.dir,
    });
  },
};

const ons = {
  name: "ali-ons",
  about: "the old Node client ali-ons: send and push-consume",
  targets: ["mq", "java"],
  needs: [],
  async run(context) {
    const { namesrv, broker } = await cluster(context);
    // This client does not fall back on the route of TBW102 for a topic that nobody knows.
    await createTopic(broker.port, "ons-topic", 4);
    await driveProgram(context.report, context.suite, {
      command: process.execPath,
      args: [await nodeSuite()],
      namesrv: namesrv.address,
      run: "ons",
      dir: context.dir,
    });
  },
};

/** Every suite, the longest first. */
export const suites = [
  javaClient("v5", "5.3.3"),
  javaClient("v4", "4.9.8"),
  middle,
  ...clusterSuites,
  ...crashSuites,
  ...storeSuites,
  ...mixedSuites,
  restart,
  benchSuite,
  mqadminSuite,
  go,
  ons,
];
