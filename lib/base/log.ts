import { type ConsolaInstance, createConsola } from "consola/core";

export type LogFields = Record<string, string | number | boolean | undefined>;

/** Log of one part of the program; `fields` are printed as `name=value` behind the message, undefined ones left out. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const LEVELS: Record<string, number> = { silent: -999, error: 0, warn: 1, info: 3, debug: 4 };

let root: ConsolaInstance | undefined;

/** A logger that writes lines `time level [tag] message name=value` to stderr; level by MQ_LOG_LEVEL (silent, error, warn, info, debug), default info. */
export function createLogger(tag: string): Logger {
  root ??= createRoot();
  const log = root.withTag(tag);
  return {
    debug: (message, fields) => log.debug(withFields(message, fields)),
    info: (message, fields) => log.info(withFields(message, fields)),
    warn: (message, fields) => log.warn(withFields(message, fields)),
    error: (message, fields) => log.error(withFields(message, fields)),
  };
}

function createRoot(): ConsolaInstance {
  // A log reader that went away must not end the process.
  process.stderr.on("error", () => {});
  const level = LEVELS[(process.env.MQ_LOG_LEVEL ?? "info").trim().toLowerCase()] ?? 3;
  return createConsola({
    level,
    throttle: 0,
    reporters: [
      {
        log({ date, type, tag, args }) {
          process.stderr.write(`${date.toISOString()} ${type.padEnd(5)} [${tag}] ${args.join(" ")}\n`);
        },
      },
    ],
  });
}

function withFields(message: string, fields: LogFields | undefined): string {
  if (fields === undefined) return message;
  let text = message;
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined) continue;
    text += ` ${name}=${typeof value === "string" && /[\s="]|^$/.test(value) ? JSON.stringify(value) : value}`;
  }
  return text;
}
