const SECOND_MS = 1000;

/** Counts what goes over one connection and bounds it per second [FlowMonitor]. Unlike Java's, which counts headers only, it counts every byte. */
export class FlowMonitor {
  /** Bytes of the last whole second. */
  transferredByteInSecond = 0;
  private bytes = 0;
  private begun = Date.now();

  add(bytes: number): void {
    this.bytes += bytes;
  }

  /** Bytes that may still go in this second, of `perSecond`. */
  allowance(perSecond: number): number {
    return Math.max(0, perSecond - this.bytes);
  }

  /** To be called often; true when a new second began. */
  tick(time: number): boolean {
    if (time - this.begun < SECOND_MS) return false;
    this.transferredByteInSecond = Math.round((this.bytes * SECOND_MS) / (time - this.begun));
    this.bytes = 0;
    this.begun = time;
    return true;
  }
}
