import { readFileSync } from "node:fs";
import * as v from "valibot";
import { errorText, UsageError } from "../lib/base/errors.ts";
import type { Message } from "../lib/client/message.ts";
import type { ProduceItem } from "../lib/client/producer/produce-run.ts";
import type { SendOptions } from "../lib/client/producer/producer.ts";

/** A line of stdin longer than any message may be. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;

export interface SourceFlags {
  body: string | undefined;
  file: string | undefined;
  size: number | undefined;
  count: number | undefined;
  jsonLines: boolean;
  /** What every message gets unless its JSON line says otherwise. */
  template: Omit<Message, "body">;
  options: SendOptions;
}

const jsonLineSchema = v.object({
  body: v.optional(v.string()),
  bodyBase64: v.optional(v.pipe(v.string(), v.base64())),
  topic: v.optional(v.string()),
  tags: v.optional(v.string()),
  keys: v.optional(v.union([v.string(), v.array(v.string())])),
  properties: v.optional(v.record(v.string(), v.string())),
  delayLevel: v.optional(v.pipe(v.number(), v.integer())),
  hash: v.optional(v.string()),
});

/** What is to be sent: one body `count` times, or what stdin holds, line by line. */
export function produceItems(flags: SourceFlags): Iterable<ProduceItem> | AsyncIterable<ProduceItem> {
  const given = [flags.body, flags.file, flags.size].filter((value) => value !== undefined).length;
  if (given > 1) throw new UsageError("say once what to send: a body, --file or --size");
  if (given === 1) return repeatedBody(fixedBody(flags), flags);
  if (process.stdin.isTTY) throw new UsageError("say what to send: a body, --file, --size, or lines on stdin");
  return stdinItems(flags);
}

function fixedBody({ body, file, size }: SourceFlags): Uint8Array {
  if (body !== undefined) return Buffer.from(body);
  if (size !== undefined) return Buffer.alloc(size, "0123456789abcdefghijklmnopqrstuvwxyz");
  try {
    return readFileSync(file ?? "");
  } catch (error) {
    throw new UsageError(`--file ${file}: ${errorText(error)}`);
  }
}

function* repeatedBody(body: Uint8Array, flags: SourceFlags): Iterable<ProduceItem> {
  const item = { message: { ...flags.template, body }, options: flags.options };
  for (let i = 0; i < (flags.count ?? 1); i++) yield item;
}

async function* stdinItems(flags: SourceFlags): AsyncIterable<ProduceItem> {
  let left = flags.count ?? Number.POSITIVE_INFINITY;
  let lineNumber = 0;
  for await (const line of stdinLines()) {
    lineNumber++;
    if (line.length === 0) continue;
    if (left-- <= 0) return;
    yield flags.jsonLines
      ? jsonItem(line, lineNumber, flags)
      : { message: { ...flags.template, body: line }, options: flags.options };
  }
}

async function* stdinLines(): AsyncIterable<Buffer> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10, from); end >= 0; end = chunk.indexOf(10, from)) {
      const tail = chunk.subarray(from, end);
      yield withoutReturn(rest.length === 0 ? tail : Buffer.concat([...rest, tail]));
      rest = [];
      restBytes = 0;
      from = end + 1;
    }
    if (from === chunk.length) continue;
    rest.push(chunk.subarray(from));
    restBytes += chunk.length - from;
    if (restBytes > LINE_BYTES_MAX) throw new UsageError(`read stdin: a line of more than ${LINE_BYTES_MAX} bytes`);
  }
  if (rest.length > 0) yield withoutReturn(Buffer.concat(rest));
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === 13 ? line.subarray(0, -1) : line;
}

function jsonItem(line: Buffer, lineNumber: number, flags: SourceFlags): ProduceItem {
  let value: unknown;
  try {
    value = JSON.parse(line.toString("utf8"));
  } catch (error) {
    throw new UsageError(`line ${lineNumber} of stdin: ${errorText(error)}`);
  }
  const result = v.safeParse(jsonLineSchema, value);
  if (!result.success) {
    const issue = result.issues[0];
    throw new UsageError(`line ${lineNumber} of stdin: ${v.getDotPath(issue) ?? "value"}: ${issue.message}`);
  }
  const { body, bodyBase64, topic, tags, keys, properties, delayLevel, hash } = result.output;
  if ((body === undefined) === (bodyBase64 === undefined)) {
    throw new UsageError(`line ${lineNumber} of stdin: want either "body" or "bodyBase64"`);
  }
  const { template } = flags;
  return {
    message: {
      ...template,
      topic: topic ?? template.topic,
      body: body === undefined ? Buffer.from(bodyBase64 ?? "", "base64") : Buffer.from(body),
      tags: tags ?? template.tags,
      keys: keys ?? template.keys,
      properties: { ...template.properties, ...properties },
      delayLevel: delayLevel ?? template.delayLevel,
    },
    options: hash === undefined ? flags.options : { ...flags.options, hashKey: hash },
  };
}
