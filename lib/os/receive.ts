import { libc } from "./libc.ts";

const MSG_DONTWAIT = 0x40;

/**
 * Takes what has arrived at an open socket into `target`, without waiting for the event loop to come round to it. Returns the bytes;
 * 0 when there are none, and also at the end of the stream and at an error: of those the loop hears itself.
 */
export function receiveNow(fd: number, target: Buffer): number {
  if (!(fd >= 0)) return 0;
  const bytes = Number(libc().recv(fd, target, target.length, MSG_DONTWAIT));
  return Math.max(bytes, 0);
}
