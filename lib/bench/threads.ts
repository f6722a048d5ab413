import { Worker } from "node:worker_threads";
import { errorText, MqError } from "../base/errors.ts";

/** A thread's last words may come behind the news of its end. */
const LAST_WORDS_MS = 1000;
/** How long the other threads of one that failed are waited for; what has not ended by then ends with the process. */
const END_MS_MAX = 2000;

/** What a thread says at its end. */
export type LastNews<Outcome> = { kind: "done"; outcome: Outcome } | { kind: "failed"; reason: string };

/** Threads of a load, one for each share. Whatever is not a thread's last news goes to `onNews` with the thread's number. */
export class Threads<Outcome, News extends { kind: string }, Order> {
  /**
   * Of each thread. Rejects with MqError when one of them fails or ends without its outcome: once all the others have ended, so that
   * nothing is sent any more, or have had `END_MS_MAX` for it.
   */
  readonly outcomes: Promise<Outcome[]>;
  readonly #workers: Worker[] = [];
  readonly #outcomes = new Map<number, Outcome>();
  readonly #count: number;
  readonly #onNews: (thread: number, news: News) => void;
  readonly #settle = Promise.withResolvers<Outcome[]>();
  #failed = false;

  /** `entry` has a Worker branch for `role`. */
  constructor(entry: string, role: string, shares: readonly unknown[], onNews: (thread: number, news: News) => void) {
    this.outcomes = this.#settle.promise;
    this.#count = shares.length;
    this.#onNews = onNews;
    try {
      for (const [i, share] of shares.entries()) {
        const worker = new Worker(entry, { workerData: { role, share } });
        this.#workers.push(worker);
        worker.on("message", (news: News | LastNews<Outcome>) => this.#news(i, news));
        worker.on("error", (error: Error) => this.#fail(`${this.#name(i)}: ${errorText(error)}`));
        worker.on("exit", (code) => this.#ended(i, code));
      }
    } catch (error) {
      this.#fail(errorText(error));
    }
  }

  order(order: Order): void {
    for (const worker of this.#workers) worker.postMessage(order);
  }

  #name(thread: number): string {
    return `thread ${thread + 1} of ${this.#count} of the load`;
  }

  #news(thread: number, news: News | LastNews<Outcome>): void {
    if (this.#failed) return;
    if (!isLast(news)) this.#onNews(thread, news);
    else if (news.kind === "failed") this.#fail(news.reason);
    else {
      this.#outcomes.set(thread, news.outcome);
      if (this.#outcomes.size === this.#count)
        this.#settle.resolve(Array.from({ length: this.#count }, (_, i) => this.#outcomes.get(i)!));
    }
  }

  #ended(thread: number, code: number): void {
    if (this.#outcomes.has(thread) || this.#failed) return;
    setTimeout(() => {
      if (!this.#outcomes.has(thread))
        this.#fail(`${this.#name(thread)} ended without its outcome: its exit code is ${code}`);
    }, LAST_WORDS_MS);
  }

  #fail(reason: string): void {
    if (this.#failed) return;
    this.#failed = true;
    const limit = setTimeout(
      () => this.#settle.reject(new MqError(`${reason}; another thread has not ended after ${END_MS_MAX} ms`)),
      END_MS_MAX,
    );
    void Promise.allSettled(this.#workers.map((worker) => worker.terminate())).then(() => {
      clearTimeout(limit);
      this.#settle.reject(new MqError(reason));
    });
  }
}

function isLast<Outcome>(news: { kind: string }): news is LastNews<Outcome> {
  return news.kind === "done" || news.kind === "failed";
}
