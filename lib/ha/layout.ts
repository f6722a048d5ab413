/**
 * What the two ends of a replication connection say to each other, big-endian, one after the other without any frame
 * [DefaultHAConnection, DefaultHAClient].
 *
 * ```
 * master to slave: | physicOffset i64 | bodySize i32 | bodySize bytes of the commit log |   bodySize 0: a heartbeat
 * slave to master: | slaveMaxOffset i64 |
 * ```
 */
export const TRANSFER_OFFSET_AT = 0;
export const TRANSFER_SIZE_AT = 8;
export const TRANSFER_HEADER_BYTES = 12;

export const REPORT_OFFSET_AT = 0;
export const REPORT_BYTES = 8;
