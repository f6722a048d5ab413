import { parseFastjson, stringifyFastjson } from "../base/fastjson.ts";
import { FLAG_RESPONSE, LANGUAGES, PROTOCOL_VERSION } from "./codes.ts";
import { FrameError } from "./errors.ts";
import { FRAME_PREFIX_BYTES, headerBytes } from "./frame.ts";
import type { RemotingCommand, RemotingRequest, RemotingResponse, ReplyTo, SerializeType } from "./types.ts";

/** Language that mq names in what it sends: JAVA, which every peer knows. */
export const OWN_LANGUAGE = 0;

/**
 * ROCKETMQ header, big-endian [RocketMQSerializable#rocketMQProtocolEncode]:
 *
 *     0  2  code          9  4  flag
 *     2  1  language     13  4  remark length, then remark
 *     3  2  version          4  ext length, then ext: key length u16, key, value length i32, value
 *     5  4  opaque
 */
export const BINARY_HEADER_BYTES_MIN = 21;

/** Decodes the frame in `buffer[start,end)`, its length field included. Throws FrameError. */
export function decodeCommand(buffer: Buffer, start = 0, end = buffer.length): RemotingCommand {
  const headerStart = start + FRAME_PREFIX_BYTES;
  const headerEnd = headerStart + headerBytes(buffer, start, end);
  const command =
    buffer[start + 4] === 0 ? decodeJson(buffer, headerStart, headerEnd) : decodeBinary(buffer, headerStart, headerEnd);
  if (headerEnd < end) command.body = buffer.subarray(headerEnd, end);
  return command;
}

function decodeBinary(buffer: Buffer, start: number, end: number): RemotingCommand {
  if (end - start < BINARY_HEADER_BYTES_MIN)
    throw new FrameError(`binary header of ${end - start} bytes, want at least ${BINARY_HEADER_BYTES_MIN}`);
  const language = buffer[start + 2]!;
  const remarkEnd = textEnd(start + 17, buffer.readInt32BE(start + 13), end - 4, "remark");
  const extEnd = textEnd(remarkEnd + 4, buffer.readInt32BE(remarkEnd), end, "ext");
  return {
    code: buffer.readInt16BE(start),
    language: language < LANGUAGES.length ? language : -1,
    version: buffer.readInt16BE(start + 3),
    opaque: buffer.readInt32BE(start + 5),
    flag: buffer.readInt32BE(start + 9),
    remark: remarkEnd > start + 17 ? buffer.utf8Slice(start + 17, remarkEnd) : undefined,
    ext: decodeBinaryExt(buffer, remarkEnd + 4, extEnd),
    body: undefined,
    serializeType: 1,
  };
}

/** Empty keys and values are null in Java, and left out here. */
function decodeBinaryExt(buffer: Buffer, start: number, end: number): Record<string, string> {
  const ext: Record<string, string> = Object.create(null);
  let at = start;
  while (at < end) {
    if (end - at < 2) throw new FrameError("ext ends inside a key's length");
    const keyEnd = textEnd(at + 2, buffer.readUInt16BE(at), end - 4, "ext key");
    const valueStart = keyEnd + 4;
    const valueEnd = textEnd(valueStart, buffer.readInt32BE(keyEnd), end, "ext value");
    if (keyEnd > at + 2 && valueEnd > valueStart)
      ext[buffer.utf8Slice(at + 2, keyEnd)] = buffer.utf8Slice(valueStart, valueEnd);
    at = valueEnd;
  }
  return ext;
}

function textEnd(start: number, length: number, limit: number, what: string): number {
  if (length < 0 || start + length > limit)
    throw new FrameError(`${what} length ${length}, want 0 to ${limit - start}`);
  return start + length;
}

function decodeJson(buffer: Buffer, start: number, end: number): RemotingCommand {
  const text = buffer.utf8Slice(start, end);
  let header = parseStrict(text);
  if (header === undefined) {
    try {
      header = parseFastjson(text);
    } catch (error) {
      throw new FrameError("decode JSON header", { cause: error });
    }
  }
  if (typeof header !== "object" || header === null || Array.isArray(header) || header instanceof Map) {
    throw new FrameError("JSON header is no object, want one");
  }
  const fields = header as Record<string, unknown>;
  return {
    code: wholeNumber(fields.code, 0),
    language: languageIndex(fields.language),
    version: wholeNumber(fields.version, 0),
    opaque: wholeNumber(fields.opaque, 0),
    flag: wholeNumber(fields.flag, 0),
    remark: typeof fields.remark === "string" ? fields.remark : undefined,
    ext: stringExt(fields.extFields),
    body: undefined,
    serializeType: 0,
  };
}

/** undefined when the text is not standard JSON, or holds numbers that a double cannot. */
function parseStrict(text: string): unknown {
  try {
    const header: unknown = JSON.parse(text);
    const ext = (header as { extFields?: unknown } | null)?.extFields;
    if (typeof ext === "object" && ext !== null) {
      for (const value of Object.values(ext)) if (typeof value !== "string" && !exactValue(value)) return undefined;
    }
    return header;
  } catch {
    return undefined;
  }
}

function exactValue(value: unknown): boolean {
  return value === null || typeof value === "boolean" || Number.isSafeInteger(value);
}

function stringExt(value: unknown): Record<string, string> {
  const ext: Record<string, string> = Object.create(null);
  if (typeof value !== "object" || value === null) return ext;
  const entries = value instanceof Map ? value : Object.entries(value);
  for (const [name, item] of entries) {
    if (typeof item === "string") ext[name] = item;
    else if (item !== null && item !== undefined) ext[name] = stringifyFastjson(item);
  }
  return ext;
}

function wholeNumber(value: unknown, otherwise: number): number {
  if (value === undefined || value === null || value === "") return otherwise;
  const number = Number(value);
  if (!Number.isInteger(number) || number !== (number | 0))
    throw new FrameError(`JSON header holds number ${JSON.stringify(String(value))}, want a 32-bit integer`);
  return number;
}

/** -1 for a name or an ordinal that is not in LANGUAGES: newer peers must not fail here. */
function languageIndex(value: unknown): number {
  if (typeof value === "number") return value in LANGUAGES ? value : -1;
  return (LANGUAGES as readonly unknown[]).indexOf(value);
}

type ExtValues = Record<string, string | number | boolean | undefined>;

/** Header of a frame to be written; language and version are mq's own. */
export interface FrameHead {
  code: number;
  opaque: number;
  flag: number;
  serializeType: SerializeType;
  remark?: string | undefined;
  ext?: ExtValues | undefined;
}

/** Bytes that `encodeHead` needs at most. */
export function headBytesMax(head: FrameHead): number {
  // A character is at most 3 bytes of UTF-8, or 6 of a JSON escape.
  let bytes = FRAME_PREFIX_BYTES + 192 + (head.remark?.length ?? 0) * 6;
  for (const name in head.ext) {
    const value = head.ext[name];
    bytes += name.length * 6 + (typeof value === "string" ? value.length * 6 : 24) + 6;
  }
  return bytes;
}

/** Writes everything before the body at `at` and returns the offset behind it. Throws RangeError where the encoding cannot carry the header. */
export function encodeHead(target: Buffer, at: number, head: FrameHead, bodyBytes: number): number {
  const headerStart = at + FRAME_PREFIX_BYTES;
  const end =
    head.serializeType === 0 ? encodeJson(target, headerStart, head) : encodeBinary(target, headerStart, head);
  writePrefix(target, at, head.serializeType, end - headerStart, bodyBytes);
  return end;
}

/** Writes the 8 bytes before the header. */
export function writePrefix(
  target: Buffer,
  at: number,
  type: SerializeType,
  headerLength: number,
  bodyBytes: number,
): void {
  if (headerLength > 0xffffff)
    throw new RangeError(`encode frame: header of ${headerLength} bytes, want at most ${0xffffff}`);
  target.writeInt32BE(4 + headerLength + bodyBytes, at);
  target.writeInt32BE((type << 24) | headerLength, at + 4);
}

function encodeJson(target: Buffer, at: number, head: FrameHead): number {
  let text = `{"code":${head.code}`;
  if (head.ext !== undefined) {
    let entries = "";
    for (const name in head.ext) {
      const value = head.ext[name];
      if (value === undefined) continue;
      const quoted = typeof value === "string" ? quote(value) : `"${value}"`;
      entries += `${entries === "" ? "" : ","}${quote(name)}:${quoted}`;
    }
    if (entries !== "") text += `,"extFields":{${entries}}`;
  }
  text += `,"flag":${head.flag},"language":"${LANGUAGES[OWN_LANGUAGE]}","opaque":${head.opaque}`;
  if (head.remark !== undefined) text += `,"remark":${quote(head.remark)}`;
  text += `,"serializeTypeCurrentRPC":"JSON","version":${PROTOCOL_VERSION}}`;
  return at + target.utf8Write(text, at);
}

/** Characters that fastjson and JSON.stringify write in different ways. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const WRITTEN_DIFFERENTLY = /[\x0b\x0e\x0f\x1a-\x1f\x7f\u2028\u2029]/;

function quote(text: string): string {
  return WRITTEN_DIFFERENTLY.test(text) ? stringifyFastjson(text) : JSON.stringify(text);
}

function encodeBinary(target: Buffer, at: number, head: FrameHead): number {
  if (head.code !== (head.code << 16) >> 16)
    throw new RangeError(`encode binary header: code ${head.code}, want a 16-bit one; this code needs the JSON header`);
  target.writeInt16BE(head.code, at);
  target[at + 2] = OWN_LANGUAGE;
  target.writeInt16BE(PROTOCOL_VERSION, at + 3);
  target.writeInt32BE(head.opaque, at + 5);
  target.writeInt32BE(head.flag, at + 9);
  const remarkBytes = head.remark === undefined ? 0 : target.utf8Write(head.remark, at + 17);
  target.writeInt32BE(remarkBytes, at + 13);
  const extStart = at + 21 + remarkBytes;
  let end = extStart;
  for (const name in head.ext) {
    const value = head.ext[name];
    if (value === undefined) continue;
    const keyBytes = target.utf8Write(name, end + 2);
    target.writeUInt16BE(keyBytes, end);
    end += 2 + keyBytes;
    const valueBytes = target.utf8Write(typeof value === "string" ? value : String(value), end + 4);
    target.writeInt32BE(valueBytes, end);
    end += 4 + valueBytes;
  }
  target.writeInt32BE(end - extStart, extStart - 4);
  return end;
}

/** A whole request frame in a buffer of its own. */
export function encodeRequest(
  request: RemotingRequest,
  opaque: number,
  serializeType: SerializeType,
  flag = 0,
): Buffer {
  const head: FrameHead = { code: request.code, opaque, flag, serializeType, remark: request.remark, ext: request.ext };
  return encodeFrame(head, request.body);
}

/** A whole response frame in a buffer of its own. */
export function encodeResponse(response: RemotingResponse, to: ReplyTo): Buffer {
  const { opaque, serializeType } = to;
  return encodeFrame(
    { code: response.code, opaque, flag: FLAG_RESPONSE, serializeType, remark: response.remark, ext: response.ext },
    response.body,
  );
}

function encodeFrame(head: FrameHead, content: Uint8Array | string | undefined): Buffer {
  const body = typeof content === "string" ? Buffer.from(content) : content;
  const bodyBytes = body?.length ?? 0;
  const target = Buffer.allocUnsafe(headBytesMax(head) + bodyBytes);
  const end = encodeHead(target, 0, head, bodyBytes);
  if (body !== undefined) target.set(body, end);
  return target.subarray(0, end + bodyBytes);
}
