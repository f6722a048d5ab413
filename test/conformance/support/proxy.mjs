import { connect, createServer } from "node:net";

/**
 * A TCP proxy on a free loopback port that can delay, split and cut what passes.
 * @param target gives the port to go on to
 * @param rewrite changes an answer's bytes before they are passed on; it must keep their number
 */
export async function startProxy(target, rewrite = (bytes) => bytes) {
  let trouble;
  const open = new Set();
  const server = createServer((downstream) => {
    const upstream = connect(target(), "127.0.0.1");
    const pair = [downstream, upstream];
    for (const socket of pair) {
      socket.setNoDelay(true);
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        open.delete(socket);
        for (const one of pair) one.destroy();
      });
    }
    pipe(downstream, upstream, () => trouble);
    pipe(upstream, downstream, () => trouble, rewrite);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    /** { delayMs, splitBytes, cutBytesMax } from now on, or nothing; a cut falls on any byte up to cutBytesMax. */
    trouble(next) {
      trouble = next;
    },
    async stop() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Passes bytes on in order, under the trouble of the moment. */
function pipe(from, to, troubleNow, rewrite = (bytes) => bytes) {
  let left;
  let chain = Promise.resolve();
  from.on("data", (chunk) => {
    from.pause();
    chain = chain.then(() => pass(rewrite(chunk))).then(() => from.resume());
  });
  async function pass(chunk) {
    const trouble = troubleNow();
    const step = trouble?.splitBytes ?? chunk.length;
    for (let at = 0; at < chunk.length; at += step) {
      if (to.destroyed) return;
      let piece = chunk.subarray(at, at + step);
      if (trouble?.delayMs) await new Promise((resolve) => setTimeout(resolve, trouble.delayMs));
      if (trouble?.cutBytesMax) left ??= Math.floor(Math.random() * trouble.cutBytesMax);
      else left = undefined;
      const cut = left !== undefined && piece.length >= left;
      if (cut) piece = piece.subarray(0, left);
      if (left !== undefined) left -= piece.length;
      await new Promise((resolve) => to.write(piece, resolve));
      if (cut) return from.destroy();
    }
  }
}
