import { compare, startLoad } from "../../crash/load.mjs";
import { startBroker, startNamesrv } from "../support/cluster.mjs";
import { createTopic } from "../support/remoting.mjs";

const QUEUES = 4;

/**
 * SIGKILL under load, again and again on one store: every acknowledged message is there once, in queue order, with
 * its CRC. Files are small, so that kills fall on file changes too.
 */
function crash(flushDiskType) {
  return {
    name: `crash-${flushDiskType}`,
    about: "the broker is killed under load; what was acknowledged is there once, in order, with its CRC",
    targets: ["mq", "java"],
    needs: [],
    async run({ report, suite, target, dir, own }) {
      const started = Date.now();
      const kills = target === "mq" ? 20 : 2;
      const namesrv = own(await startNamesrv(target, `${dir}/namesrv`));
      const overrides = {
        flushDiskType,
        mappedFileSizeCommitLog: String(8 * 1024 * 1024),
        mappedFileSizeConsumeQueue: String(20 * 1000),
      };
      const start = () => startBroker(target, `${dir}/broker`, namesrv.address, overrides).then(own);
      const topic = "crash-topic";
      let broker = await start();
      await createTopic(broker.port, topic, QUEUES);
      let next = new Array(QUEUES).fill(0);
      const all = [];
      for (let round = 0; round < kills; round++) {
        const load = await startLoad(broker.port, topic, QUEUES, round);
        // Not a wait for anything: the kill has to fall at a time of no meaning.
        await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 600));
        await broker.stop("SIGKILL");
        await load.ended;
        broker = await start();
        const { problems, next: ends } = await compare(broker.port, topic, next, load.acknowledged);
        const wrong = [...load.unexpected, ...problems];
        report.check(
          suite,
          `kill-${round}`,
          wrong.length === 0 && load.acknowledged.length > 0,
          () => `${load.acknowledged.length} acknowledged, ${wrong.length} problems: ${wrong.slice(0, 5).join("; ")}`,
        );
        all.push(...load.acknowledged);
        next = ends;
      }
      await broker.stop("SIGTERM");
      broker = await start();
      const { problems } = await compare(broker.port, topic, new Array(QUEUES).fill(0), all).catch((error) => ({
        problems: [error.message],
      }));
      report.check(
        suite,
        "all-rounds-after-a-clean-stop",
        problems.length === 0,
        () => `${all.length} acknowledged, ${problems.length} problems: ${problems.slice(0, 5).join("; ")}`,
      );
      console.log(`      ${suite}: ${all.length} messages acknowledged, ${kills} kills`);
      report.end(suite, started);
    },
  };
}

export const crashSuites = ["ASYNC_FLUSH", "SYNC_FLUSH"].map(crash);
