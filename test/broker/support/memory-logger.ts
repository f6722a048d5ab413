import type { LogFields, Logger } from "../../../lib/base/log.ts";

export interface LoggedLine {
  level: "debug" | "info" | "warn" | "error";
  message: string;
  fields: LogFields | undefined;
}

/** Keeps the lines instead of printing them. */
export class MemoryLogger implements Logger {
  readonly lines: LoggedLine[] = [];

  debug(message: string, fields?: LogFields): void {
    this.lines.push({ level: "debug", message, fields });
  }

  info(message: string, fields?: LogFields): void {
    this.lines.push({ level: "info", message, fields });
  }

  warn(message: string, fields?: LogFields): void {
    this.lines.push({ level: "warn", message, fields });
  }

  error(message: string, fields?: LogFields): void {
    this.lines.push({ level: "error", message, fields });
  }

  /** Messages of one level that contain `part`. */
  find(level: LoggedLine["level"], part: string): LoggedLine[] {
    return this.lines.filter((line) => line.level === level && line.message.includes(part));
  }
}
