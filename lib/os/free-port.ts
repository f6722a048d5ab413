/** Below the range from which systems take ports for outgoing connections: one of those must not get it before its listener does. */
const LOWEST = 15_000;
const HIGHEST = 31_000;
const TRIES = 100;

/** A port of loopback that nobody listens on now; it is not held. */
export function freePort(): number {
  for (let i = 0; i < TRIES; i++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (isFree(port)) return port;
  }
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  return port;
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}
