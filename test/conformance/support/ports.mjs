import { connect, createServer } from "node:net";

/** Below the range from which the system takes ports for outgoing connections. */
const LOWEST = 15_000;
const HIGHEST = 31_000;
const taken = new Set();

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "0.0.0.0", () => server.close(() => resolve(true)));
  });
}

/** A port p such that p-2 (VIP), p-1, p and p+1 (HA) are free; none of them is given out again. */
export async function brokerPort() {
  for (let tries = 0; tries < 200; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    const all = [port - 2, port - 1, port, port + 1];
    if (all.some((one) => taken.has(one))) continue;
    const free = await Promise.all(all.map(isFree));
    if (!free.every(Boolean)) continue;
    for (const one of all) taken.add(one);
    return port;
  }
  throw new Error(`find four free ports between ${LOWEST} and ${HIGHEST}: none found in 200 tries`);
}

/** Waits until something accepts connections on the port. */
export async function accepts(port, timeoutMs = 30_000) {
  const end = Date.now() + timeoutMs;
  while (Date.now() < end) {
    const open = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`connect to 127.0.0.1:${port}: refused for ${timeoutMs} ms`);
}
