import { deflateSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { decompressLz4Frame } from "./lz4-frame.ts";
import {
  COMPRESSED_FLAG,
  COMPRESSION_LZ4,
  COMPRESSION_TYPE_MASK,
  COMPRESSION_ZLIB,
  COMPRESSION_ZSTD,
} from "./sys-flag.ts";

/** Largest body that decompression yields unless the caller says otherwise: a bomb ends there. */
export const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;

/** RocketMQ's default level [DefaultMQProducer, MessageDecoder]. */
const ZLIB_LEVEL = 5;

/**
 * The body a client sees. `sysFlag` says whether and how it is compressed; without a type bit it is ZLIB (old clients). Throws
 * RangeError when it is malformed or larger than `bytesMax`.
 */
export function decompressBody(body: Buffer, sysFlag: number, bytesMax: number = DECOMPRESSED_BYTES_MAX): Buffer {
  if ((sysFlag & COMPRESSED_FLAG) === 0) return body;
  const type = sysFlag & COMPRESSION_TYPE_MASK;
  try {
    if (type === COMPRESSION_LZ4) return decompressLz4Frame(body, bytesMax);
    if (type === COMPRESSION_ZSTD) return decompressZstd(body, bytesMax);
    if (type === COMPRESSION_ZLIB || type === 0) return inflateSync(body, { maxOutputLength: bytesMax });
  } catch (error) {
    throw new RangeError(`cannot decompress a body of ${body.length} bytes`, { cause: error });
  }
  throw new RangeError(`cannot decompress a body: compression type ${type >> 8}, wanted 1 (LZ4), 2 (ZSTD) or 3 (ZLIB)`);
}

/** The runtime returns what it has, without an error, when a frame is cut; of a body that a CRC guards only nothing at all is told. */
function decompressZstd(body: Buffer, bytesMax: number): Buffer {
  const result = zstdDecompressSync(body, { maxOutputLength: bytesMax });
  if (result.length === 0) throw new RangeError("the ZSTD frame is cut or empty");
  return result;
}

/** ZLIB at RocketMQ's level; the caller sets COMPRESSED_FLAG and COMPRESSION_ZLIB. */
export function compressBody(body: Uint8Array): Buffer {
  return deflateSync(body, { level: ZLIB_LEVEL });
}
