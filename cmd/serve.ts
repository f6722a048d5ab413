import { ExitCode, errorText } from "../lib/base/errors.ts";
import { complain, say } from "./out.ts";

/** Something that runs until a signal ends it. */
export interface Service {
  start(): Promise<void>;
  /** Stops in good order. */
  stop(): Promise<void>;
}

/** Exit codes of a process ended by a signal, as a shell reports them. */
const SIGNAL_EXIT: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

/**
 * Starts a service and ends the process with it: SIGTERM or SIGINT stop it in good order (exit 0), a second signal ends at once;
 * an error that nobody meant stops it in good order too (exit 70).
 */
export class ServiceRunner {
  private stopping = false;
  private exitCode: number = ExitCode.ok;

  constructor(private readonly service: Service) {}

  async run(): Promise<void> {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.onSignal(signal));
    process.on("uncaughtException", (error) => this.fatal(error));
    process.on("unhandledRejection", (error) => this.fatal(error));
    await this.service.start();
  }

  /** Stops in good order and ends with exit code 70. */
  fatal(error: unknown): void {
    complain(
      `stopping after an unexpected error: ${error instanceof Error ? (error.stack ?? error.message) : errorText(error)}`,
    );
    this.exitCode = ExitCode.software;
    this.stop();
  }

  /** Stops in good order when standard input ends: with the process that holds its other end, however that ended. */
  stopWithStdin(): void {
    process.stdin.once("end", () => {
      if (!this.stopping) say("standard input ended: stopping in good order");
      this.stop();
    });
    process.stdin.resume();
  }

  private onSignal(signal: "SIGTERM" | "SIGINT"): void {
    if (this.stopping) process.exit(SIGNAL_EXIT[signal]);
    say(`${signal}: stopping in good order; once more ends at once`);
    this.stop();
  }

  private stop(): void {
    if (this.stopping) return;
    this.stopping = true;
    this.service.stop().then(
      () => process.exit(this.exitCode),
      (error: unknown) => {
        complain(`did not stop in good order: ${errorText(error)}`);
        process.exit(this.exitCode === ExitCode.ok ? ExitCode.failure : this.exitCode);
      },
    );
  }
}
