/** Exit codes of every command, after sysexits(3). */
export const ExitCode = { ok: 0, failure: 1, usage: 64, software: 70, config: 78 } as const;

/** An error whose message is meant for the person at the terminal; `cmd/` prints it as one line and exits with `exitCode`. */
export class MqError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = ExitCode.failure, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.exitCode = exitCode;
  }
}

/** A mistyped subcommand, flag or value. */
export class UsageError extends MqError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, ExitCode.usage, options);
  }
}

/** A configuration file, key or value that cannot be used. */
export class ConfigError extends MqError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, ExitCode.config, options);
  }
}

/** One line for any thrown value, causes included. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `: ${errorText(error.cause)}`;
  return `${error.message}${cause}`;
}
