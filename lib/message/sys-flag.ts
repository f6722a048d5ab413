/** Bits of a record's sysFlag [MessageSysFlag]. */
export const COMPRESSED_FLAG = 0x1;
export const MULTI_TAGS_FLAG = 0x2;
export const TRANSACTION_NOT_TYPE = 0;
export const TRANSACTION_PREPARED_TYPE = 0x4;
export const TRANSACTION_COMMIT_TYPE = 0x8;
export const TRANSACTION_ROLLBACK_TYPE = 0xc;
/** Both transaction bits. */
export const TRANSACTION_TYPE_MASK = 0xc;
export const BORNHOST_V6_FLAG = 0x10;
export const STOREHOST_V6_FLAG = 0x20;
export const NEED_UNWRAP_FLAG = 0x40;
export const INNER_BATCH_FLAG = 0x80;
export const COMPRESSION_TYPE_MASK = 0x700;
export const COMPRESSION_LZ4 = 0x100;
export const COMPRESSION_ZSTD = 0x200;
export const COMPRESSION_ZLIB = 0x300;

/** Whether a record with this sysFlag gets a consume-queue entry: prepared and rolled-back ones do not. */
export function isConsumable(sysFlag: number): boolean {
  const type = sysFlag & TRANSACTION_TYPE_MASK;
  return type === TRANSACTION_NOT_TYPE || type === TRANSACTION_COMMIT_TYPE;
}
