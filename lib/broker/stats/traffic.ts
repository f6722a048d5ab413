/** Messages, bytes and calls of one topic or queue: counted once, shown as two statistics. */
export class Traffic {
  nums = 0;
  size = 0;
  times = 0;

  add(nums: number, size: number): void {
    this.nums += nums;
    this.size += size;
    this.times++;
  }
}
