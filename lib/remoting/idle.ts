import type { SocketConnection } from "./connection.ts";

/** Idle time before a connection is closed [serverChannelMaxIdleTimeSeconds, clientChannelMaxIdleTimeSeconds]. */
export const IDLE_SECONDS = 120;
/** A connection that is being closed may take this long to take its last bytes. */
const LINGER_MS = 5_000;
/** Idle connections are looked for this many times per idle time. */
const SCANS_PER_IDLE_TIME = 8;

/** Closes connections without traffic in both directions, by one timer for all. Returns what stops it. */
export function closeIdle(connections: Iterable<SocketConnection>, idleSeconds: number): () => void {
  const idleMs = idleSeconds * 1000;
  const timer = setInterval(
    () => {
      const time = Date.now();
      for (const connection of connections) {
        const quietMs = time - Math.max(connection.lastReadTime, connection.lastWriteTime);
        if (connection.closed && quietMs > LINGER_MS) connection.terminate("error: peer does not take its last bytes");
        else if (quietMs >= idleMs) {
          if (connection.pendingBytes > 0) connection.terminate(`idle: peer took nothing for ${idleSeconds} s`);
          else connection.close(`idle: no traffic for ${idleSeconds} s`);
        }
      }
    },
    Math.max(50, Math.min(LINGER_MS, idleMs / SCANS_PER_IDLE_TIME)),
  );
  timer.unref();
  return () => clearInterval(timer);
}
