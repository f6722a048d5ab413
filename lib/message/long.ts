const TWO_32 = 4294967296;
const TWO_31 = 2147483648;

/** Big-endian int64 as a double: exact up to 2^53, which offsets and times stay below; anything else is for the caller to range-check. */
export function readLong(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * TWO_32 + buffer.readUInt32BE(at + 4);
}

/** As `readLong`, over a view. */
export function viewLong(view: DataView, at: number): number {
  return view.getInt32(at) * TWO_32 + view.getUint32(at + 4);
}

/** Writes an integer of at most 2^53 as big-endian int64, without BigInt. */
export function writeLong(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  let low = value - high * TWO_32;
  // A double of 2^31 or more would take setInt32's slow path.
  if (low >= TWO_31) low -= TWO_32;
  view.setInt32(at, high);
  view.setInt32(at + 4, low);
}
