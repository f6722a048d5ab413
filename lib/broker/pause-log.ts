import { RotatingFile } from "../base/rotating-file.ts";
import { observeTurns } from "../base/turn-watch.ts";

const MIB = 1024 * 1024;
/** How often the loop is looked at. */
const TICK_MS = 10;
const SUMMARY_MS = 60_000;
/** A heap that shrank by this much since the last look was collected. */
const COLLECTED_BYTES_MIN = MIB / 2;

export interface PauseLogOptions {
  path: string;
  fileBytes: number;
  files: number;
  /** Pauses below are not written. */
  thresholdMs: number;
  onError: (error: unknown) => void;
}

/**
 * Pauses of the event loop and collections of the heap in a file of their own, as a JVM's GC log [-Xlog:gc, UseGCLogFileRotation]:
 * a line for each pause with the longest turn in it, one for each collection, one a minute with the state of things. Costs a timer
 * of 10 ms and two clock reads a data callback.
 */
export class PauseLog {
  private readonly file: RotatingFile;
  private readonly thresholdMs: number;
  private timer: ReturnType<typeof setInterval> | undefined;
  private lastTick = 0;
  private lastHeap = 0;
  private longestMs = 0;
  private longest = "";
  private summaryAt = 0;
  private collections = 0;
  private pauses = 0;
  private latestMax = 0;

  constructor(options: PauseLogOptions) {
    this.thresholdMs = options.thresholdMs;
    this.file = new RotatingFile(options);
  }

  start(): void {
    this.lastTick = performance.now();
    this.summaryAt = this.lastTick + SUMMARY_MS;
    this.lastHeap = heapBytes();
    observeTurns((ms, what) => this.turn(ms, what));
    this.timer = setInterval(() => this.tick(performance.now()), TICK_MS);
    this.timer.unref();
    this.line(`begins: pauses from ${this.thresholdMs} ms on, ${this.state()}`);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    observeTurns(undefined);
    this.line(`ends: ${this.state()}`);
    await this.file.close();
  }

  /** Work that kept the loop. */
  turn(ms: number, what: string): void {
    if (ms <= this.longestMs) return;
    this.longestMs = ms;
    this.longest = what;
  }

  private tick(time: number): void {
    // A turn that began right after a look makes the next one less late than it was long.
    const late = Math.max(time - this.lastTick - TICK_MS, this.longestMs);
    this.lastTick = time;
    const heap = heapBytes();
    const collected = this.lastHeap - heap >= COLLECTED_BYTES_MIN;
    const change = `heap ${mib(this.lastHeap)} -> ${mib(heap)} MiB`;
    if (collected) this.collections++;
    if (late > this.latestMax) this.latestMax = late;
    if (late >= this.thresholdMs) {
      this.pauses++;
      this.line(`pause ${late.toFixed(1)} ms: ${this.cause(late)}${collected ? `; collected, ${change}` : ""}`);
    } else if (collected) {
      this.line(`gc ${change}, loop late by ${Math.max(0, late).toFixed(1)} ms`);
    }
    this.lastHeap = heap;
    this.longestMs = 0;
    this.longest = "";
    if (time >= this.summaryAt) this.summary(time);
  }

  private cause(late: number): string {
    if (this.longest === "") return "no named work ran: a timer, a callback, the collector, or the machine";
    const share = this.longestMs < late / 2 ? ", the rest elsewhere" : "";
    return `longest turn ${this.longestMs.toFixed(1)} ms: ${this.longest}${share}`;
  }

  private summary(time: number): void {
    this.line(
      `minute: ${this.pauses} pauses, longest ${this.latestMax.toFixed(1)} ms, ${this.collections} collections, ${this.state()}`,
    );
    this.summaryAt = time + SUMMARY_MS;
    this.pauses = this.collections = this.latestMax = 0;
  }

  private state(): string {
    const { heapTotal, rss } = process.memoryUsage();
    return `heap ${mib(heapTotal)} MiB, resident ${mib(rss)} MiB`;
  }

  private line(text: string): void {
    this.file.write(`${new Date().toISOString()} ${text}`);
  }
}

/** Bytes of the heap's blocks. What the runtime calls used counts mapped files as well, gigabytes of them. */
function heapBytes(): number {
  return process.memoryUsage().heapTotal;
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
