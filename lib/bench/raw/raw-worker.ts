import { parentPort, workerData } from "node:worker_threads";
import { errorText } from "../../base/errors.ts";
import type { LastNews } from "../threads.ts";
import type { RawOutcome, RawSecond, RawShare } from "./plan.ts";
import { runRawLoad } from "./raw-load.ts";

/** What a thread of a raw load tells; the one thing it is told is to stop. */
export type RawNews = { kind: "second"; second: RawSecond };

/** A thread of a raw load. The entry file calls it when `workerData.role` is `bench-raw`. */
export function runRawWorker(): void {
  const port = parentPort;
  if (port === null) throw new Error("a thread of the load was started outside a Worker");
  const { share } = workerData as { share: RawShare };
  const tell = (news: RawNews | LastNews<RawOutcome>) => port.postMessage(news);
  let stopped = false;
  port.on("message", () => {
    stopped = true;
  });
  runRawLoad(
    share,
    (second) => tell({ kind: "second", second }),
    () => stopped,
  )
    .then(
      (outcome) => tell({ kind: "done", outcome }),
      (error) => tell({ kind: "failed", reason: errorText(error) }),
    )
    .finally(() => port.close());
}
