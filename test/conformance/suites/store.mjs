import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startBroker, startNamesrv } from "../support/cluster.mjs";
import { driveJava } from "../support/driver.mjs";

/** Which broker has the store next, and how it is ended. */
const journeys = {
  "java-first": [
    ["java", "SIGTERM"],
    ["mq", "SIGTERM"],
    ["java", "SIGKILL"],
    ["mq", "SIGKILL"],
    ["java", "SIGTERM"],
    ["mq", "SIGTERM"],
  ],
  "mq-first": [
    ["mq", "SIGTERM"],
    ["java", "SIGTERM"],
    ["mq", "SIGKILL"],
    ["java", "SIGKILL"],
    ["mq", "SIGTERM"],
    ["java", "SIGTERM"],
  ],
};

/** A killed broker keeps the offsets that it had written; waits for those of the round just ended. */
async function offsetsPersisted(store, topic, round) {
  const wanted = [0, 1, 2].map((queueId) => `${queueId}:${round * 10 + queueId + 1}`).join();
  const end = Date.now() + 30_000;
  for (;;) {
    let text = "";
    try {
      text = readFileSync(join(store, "config", "consumerOffset.json"), "utf8").replaceAll(/\s/g, "");
    } catch {}
    if (text.includes(`"${topic}@${topic}-group":{${wanted}}`)) return;
    if (Date.now() > end) throw new Error(`persist consumer offsets: found ${text}, wanted ${wanted} of ${topic}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function journey(name) {
  return {
    name: `store-${name}`,
    about: "one store directory goes from Java to mq and back, after clean stops and after SIGKILL",
    targets: ["mq", "java"],
    needs: ["java", "javac", "mvn"],
    async run({ report, suite, target, dir, own }) {
      const namesrv = own(await startNamesrv("java", `${dir}/namesrv`));
      const topic = `${name}-store`;
      const steps = journeys[name];
      for (let round = 0; round <= steps.length; round++) {
        const last = round === steps.length;
        const [kind, signal] = steps[round % steps.length];
        // On the reference alone, every step is a Java broker.
        const broker = own(
          await startBroker(target === "mq" ? kind : "java", `${dir}/broker`, namesrv.address, {
            flushConsumerOffsetInterval: "500",
          }),
        );
        await driveJava(report, `${suite}/${round}-${kind}`, {
          version: "v5",
          encoding: round % 2 ? "JSON" : "ROCKETMQ",
          namesrv: namesrv.address,
          run: `${name}:${round}`,
          themes: last ? "store-verify" : "store-step",
          parallel: 1,
          dir,
        });
        if (signal === "SIGKILL") await offsetsPersisted(`${dir}/broker/store`, topic, round);
        const exit = await broker.stop(signal);
        if (signal === "SIGTERM" && kind === "mq" && target === "mq")
          report.check(suite, `clean-exit-${round}`, exit.code === 0, () => JSON.stringify(exit));
      }
    },
  };
}

export const storeSuites = Object.keys(journeys).map(journey);
