import { AssertionError } from "../base/assert.ts";
import { errorText } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { LogLimit } from "../base/log-limit.ts";
import { FLAG_ONEWAY, ResponseCode } from "./codes.ts";
import { ResponseError } from "./response-error.ts";
import type {
  Connection,
  Processor,
  ProcessorEntry,
  ProcessorTable,
  RawRequest,
  RemotingCommand,
  RemotingResponse,
  ReplyTo,
} from "./types.ts";

/** Codes below this are looked up in an array; all but the POP codes are. */
const DENSE_CODES = 4096;
/** Different unknown codes that are logged; a peer may send any number. */
const UNKNOWN_CODES_TOLD_MAX = 64;
/** Failed requests that are logged in ten seconds. */
const FAILURE_LINES_MAX = 50;

/** Finds the processor of a request, and makes a response of whatever it throws: the only place that does. */
export class Dispatcher {
  readonly #logger: Logger;
  readonly #onFatal: (error: unknown, code: number) => void;
  readonly #dense: (ProcessorEntry | undefined)[] = new Array(DENSE_CODES).fill(undefined);
  readonly #table: ProcessorTable;
  readonly #unknownTold = new Set<number>();
  readonly #refusals: LogLimit;
  readonly #failures: LogLimit;

  constructor(table: ProcessorTable, logger: Logger, onFatal: (error: unknown, code: number) => void) {
    this.#table = table;
    this.#logger = logger;
    this.#onFatal = onFatal;
    this.#refusals = new LogLimit(FAILURE_LINES_MAX, logger.warn);
    this.#failures = new LogLimit(FAILURE_LINES_MAX, logger.error);
    for (const [code, entry] of table) if (code >= 0 && code < DENSE_CODES) this.#dense[code] = entry;
  }

  entry(code: number): ProcessorEntry | undefined {
    return code >= 0 && code < DENSE_CODES ? this.#dense[code] : this.#table.get(code);
  }

  /** Runs an ordinary processor and sends its answer, now or when its promise settles. */
  run(processor: Processor, command: RemotingCommand, connection: Connection): void {
    let result: ReturnType<Processor>;
    try {
      result = processor(command, connection);
    } catch (error) {
      this.fail(error, command, connection);
      return;
    }
    if (result === undefined) return;
    if (result instanceof Promise) {
      result.then(
        (response) => {
          if (response !== undefined) this.#reply(command, connection, response);
        },
        (error: unknown) => this.fail(error, command, connection),
      );
      return;
    }
    this.#reply(command, connection, result);
  }

  /** Answers a request that no processor is for. */
  unknown(request: RemotingCommand | RawRequest, connection: Connection): void {
    const { code } = request;
    if (!this.#unknownTold.has(code) && this.#unknownTold.size < UNKNOWN_CODES_TOLD_MAX) {
      this.#unknownTold.add(code);
      this.#logger.warn(`refuse request code ${code}: no processor is for it; told once`, {
        peer: connection.remoteAddress,
      });
    }
    connection.reply(replyTo(request), {
      code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
      remark: ` request type ${code} not supported`,
    });
  }

  /** Answers with what went wrong: a ResponseError's own code, or SYSTEM_ERROR with the error's class and text. */
  fail(error: unknown, request: RemotingCommand | RawRequest, connection: Connection): void {
    const { code } = request;
    connection.reply(replyTo(request), failure(error));
    const fields = { peer: connection.remoteAddress };
    if (error instanceof ResponseError) {
      if (error.cause !== undefined) this.#refusals.write(`answer request code ${code}: ${errorText(error)}`, fields);
      return;
    }
    const stack = error instanceof Error ? error.stack : undefined;
    this.#failures.write(`answer request code ${code}: ${stack ?? errorText(error)}`, fields);
    if (error instanceof AssertionError) this.#onFatal(error, code);
  }

  #reply(command: RemotingCommand, connection: Connection, response: RemotingResponse): void {
    try {
      connection.reply(replyTo(command), response);
    } catch (error) {
      this.fail(error, command, connection);
    }
  }
}

/** What of a request its answer needs. */
export function replyTo(request: RemotingCommand | RawRequest): ReplyTo {
  return { opaque: request.opaque, serializeType: request.serializeType, oneway: (request.flag & FLAG_ONEWAY) !== 0 };
}

function failure(error: unknown): RemotingResponse {
  if (error instanceof ResponseError) return { code: error.code, remark: error.remark };
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { code: ResponseCode.SYSTEM_ERROR, remark: text };
}
