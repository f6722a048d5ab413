import { LANGUAGES } from "./codes.ts";
import { BINARY_HEADER_BYTES_MIN, decodeCommand, writePrefix } from "./command.ts";
import { FrameError } from "./errors.ts";
import { FRAME_PREFIX_BYTES, headerBytes } from "./frame.ts";
import { lastJsonHeader } from "./json-header.ts";
import type { RawRequest, RemotingCommand } from "./types.ts";

/** An empty request to be filled again and again. */
export function newRawRequest(): RawRequest {
  return {
    code: 0,
    opaque: 0,
    flag: 0,
    version: 0,
    language: -1,
    serializeType: 0,
    buffer: Buffer.alloc(0),
    headerStart: 0,
    headerEnd: 0,
    bodyStart: 0,
    bodyEnd: 0,
  };
}

/** Points `raw` at the frame in `buffer[start,end)` and reads the fixed fields. Throws FrameError. */
export function fillRawRequest(raw: RawRequest, buffer: Buffer, start: number, end: number): void {
  const headerStart = start + FRAME_PREFIX_BYTES;
  const headerEnd = headerStart + headerBytes(buffer, start, end);
  raw.buffer = buffer;
  raw.headerStart = headerStart;
  raw.headerEnd = headerEnd;
  raw.bodyStart = headerEnd;
  raw.bodyEnd = end;
  if (buffer[start + 4] === 1) fillBinary(raw, buffer, headerStart, headerEnd);
  else if (lastJsonHeader.scan(buffer, headerStart, headerEnd)) fillFromScan(raw);
  else fillTolerant(raw, buffer, start, end);
}

function fillBinary(raw: RawRequest, buffer: Buffer, at: number, end: number): void {
  if (end - at < BINARY_HEADER_BYTES_MIN)
    throw new FrameError(`binary header of ${end - at} bytes, want at least ${BINARY_HEADER_BYTES_MIN}`);
  const language = buffer[at + 2]!;
  raw.serializeType = 1;
  raw.code = buffer.readInt16BE(at);
  raw.language = language < LANGUAGES.length ? language : -1;
  raw.version = buffer.readInt16BE(at + 3);
  raw.opaque = buffer.readInt32BE(at + 5);
  raw.flag = buffer.readInt32BE(at + 9);
}

function fillFromScan(raw: RawRequest): void {
  raw.serializeType = 0;
  raw.code = lastJsonHeader.code;
  raw.language = lastJsonHeader.language;
  raw.version = lastJsonHeader.version;
  raw.opaque = lastJsonHeader.opaque;
  raw.flag = lastJsonHeader.flag;
}

/** A header in one of fastjson's wider forms is rewritten as standard JSON, so that nothing behind this has to know of them. */
function fillTolerant(raw: RawRequest, buffer: Buffer, start: number, end: number): void {
  const frame = standardFrame(decodeCommand(buffer, start, end));
  raw.buffer = frame;
  raw.headerStart = FRAME_PREFIX_BYTES;
  raw.headerEnd = FRAME_PREFIX_BYTES + headerBytes(frame, 0, frame.length);
  raw.bodyStart = raw.headerEnd;
  raw.bodyEnd = frame.length;
  if (!lastJsonHeader.scan(frame, raw.headerStart, raw.headerEnd)) throw new FrameError("decode JSON header");
  fillFromScan(raw);
}

function standardFrame(command: RemotingCommand): Buffer {
  const { code, ext, flag, language, opaque, remark, version } = command;
  const header = Buffer.from(
    JSON.stringify({ code, extFields: ext, flag, language: LANGUAGES[language], opaque, remark, version }),
  );
  const body = command.body ?? Buffer.alloc(0);
  const prefix = Buffer.alloc(FRAME_PREFIX_BYTES);
  writePrefix(prefix, 0, 0, header.length, body.length);
  return Buffer.concat([prefix, header, body]);
}
