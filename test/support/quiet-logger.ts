import type { LogFields, Logger } from "../../lib/base/log.ts";

export interface QuietLogger extends Logger {
  lines: { level: string; message: string; fields: LogFields | undefined }[];
}

/** Keeps log lines for the test to look at and prints none. */
export function quietLogger(): QuietLogger {
  const lines: QuietLogger["lines"] = [];
  const at = (level: string) => (message: string, fields?: LogFields) => void lines.push({ level, message, fields });
  return { lines, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
