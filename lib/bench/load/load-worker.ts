import { parentPort, workerData } from "node:worker_threads";
import { errorText } from "../../base/errors.ts";
import type { LastNews } from "../threads.ts";
import type { Ledger } from "./ledger.ts";
import type { LedgerPart, LoadOutcome, LoadSecond, LoadShare } from "./plan.ts";
import { runShare } from "./run-share.ts";

/** What a thread of the load tells before its outcome. */
export type WorkerNews =
  | { kind: "second"; second: LoadSecond }
  /** All is sent and answered; what has come so far is asked for with `part`. */
  | { kind: "draining" }
  | { kind: "part"; part: LedgerPart; settled: boolean; gone: boolean };

export type WorkerOrder =
  | { kind: "stop" }
  | { kind: "part" }
  | { kind: "settle" }
  | { kind: "drained"; seconds: number | undefined };

/** A thread of the load. The entry file calls it when `workerData.role` is `bench`. */
export function runLoadWorker(): void {
  const port = parentPort;
  if (port === null) throw new Error("a thread of the load was started outside a Worker");
  const { share } = workerData as { share: LoadShare };
  const tell = (news: WorkerNews | LastNews<LoadOutcome>) => port.postMessage(news);
  let stopped = false;
  let ledger: Ledger | undefined;
  let settled = false;
  let settle = () => {};
  let gone = () => false;
  let drained: (seconds: number | undefined) => void = () => {};
  port.on("message", (order: WorkerOrder) => {
    if (order.kind === "stop") stopped = true;
    else if (order.kind === "drained") drained(order.seconds);
    else if (order.kind === "settle") {
      settled = true;
      settle();
    } else if (ledger !== undefined) tell({ kind: "part", part: ledger.part(), settled, gone: gone() });
  });
  const drain = (own: Ledger, settleOwn: () => void, goneOwn: () => boolean) =>
    new Promise<number | undefined>((resolve) => {
      ledger = own;
      settle = settleOwn;
      gone = goneOwn;
      drained = resolve;
      tell({ kind: "draining" });
    });
  runShare(
    share,
    (second) => tell({ kind: "second", second }),
    () => stopped,
    drain,
  )
    .then(
      (outcome) => tell({ kind: "done", outcome }),
      (error) => tell({ kind: "failed", reason: errorText(error) }),
    )
    .finally(() => port.close());
}
