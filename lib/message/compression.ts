import { constants, deflateSync, inflateSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { compressLz4Frame, decompressLz4Frame } from "./lz4-frame.ts";
import {
  COMPRESSED_FLAG,
  COMPRESSION_LZ4,
  COMPRESSION_TYPE_MASK,
  COMPRESSION_ZLIB,
  COMPRESSION_ZSTD,
} from "./sys-flag.ts";

/** Largest body that decompression yields unless the caller says otherwise: a bomb ends there. */
export const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;

/** RocketMQ's default level, of ZSTD too [DefaultMQProducerImpl, MessageDecoder]. */
export const COMPRESS_LEVEL_DEFAULT = 5;

/** RocketMQ's names of the types, their bits in a sysFlag, and the levels they have; LZ4 has none [CompressionType]. */
export const COMPRESSION_TYPES = {
  LZ4: { flag: COMPRESSION_LZ4, levels: undefined },
  ZSTD: { flag: COMPRESSION_ZSTD, levels: [1, 22] },
  ZLIB: { flag: COMPRESSION_ZLIB, levels: [0, 9] },
} as const;
export type CompressionType = keyof typeof COMPRESSION_TYPES;

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

/** The caller sets COMPRESSED_FLAG and the type's flag; LZ4 has no levels. */
export function compressBody(body: Uint8Array, type: CompressionType, level: number): Buffer {
  if (type === "LZ4") return compressLz4Frame(Buffer.from(body.buffer, body.byteOffset, body.length));
  if (type === "ZSTD") return zstdCompressSync(body, { params: { [constants.ZSTD_c_compressionLevel]: level } });
  return deflateSync(body, { level });
}
