const CAPACITY = 256;

/** Records that a pull takes, in the queue's order: one object for all pulls, so that they make no garbage. */
export class ChosenRecords {
  count = 0;
  bytes = 0;
  queueOffset = new Float64Array(CAPACITY);
  physicalOffset = new Float64Array(CAPACITY);
  size = new Int32Array(CAPACITY);
  /** Place in its file, once it is known which files can be held. */
  start = new Int32Array(CAPACITY);

  clear(): void {
    this.count = 0;
    this.bytes = 0;
  }

  add(queueOffset: number, physicalOffset: number, size: number): void {
    const { count } = this;
    if (count === this.size.length) this.#grow();
    this.queueOffset[count] = queueOffset;
    this.physicalOffset[count] = physicalOffset;
    this.size[count] = size;
    this.count = count + 1;
    this.bytes += size;
  }

  /** What stays when the next pull comes. */
  copy(): ChosenRecords {
    const kept = new ChosenRecords();
    kept.count = this.count;
    kept.bytes = this.bytes;
    kept.queueOffset = this.queueOffset.slice(0, this.count);
    kept.physicalOffset = this.physicalOffset.slice(0, this.count);
    kept.size = this.size.slice(0, this.count);
    kept.start = this.start.slice(0, this.count);
    return kept;
  }

  #grow(): void {
    const { queueOffset, physicalOffset, size, start } = this;
    const capacity = size.length * 2;
    this.queueOffset = new Float64Array(capacity);
    this.physicalOffset = new Float64Array(capacity);
    this.size = new Int32Array(capacity);
    this.start = new Int32Array(capacity);
    this.queueOffset.set(queueOffset);
    this.physicalOffset.set(physicalOffset);
    this.size.set(size);
    this.start.set(start);
  }
}

/**
 * Whether all of the first `count` records, which are in one file, have the sizes that their queue says. Each is a cache miss: nothing
 * but loads here, so that the processor has many of them under way at once.
 */
export function sizesAgree(view: DataView, chosen: ChosenRecords, count: number): boolean {
  const { start, size } = chosen;
  let differing = 0;
  for (let i = 0; i < count; i++) differing |= view.getInt32(start[i]!) ^ size[i]!;
  return differing === 0;
}
