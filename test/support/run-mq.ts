import { join } from "node:path";

const ENTRY = join(import.meta.dir, "..", "..", "cmd", "mq.ts");

export interface Finished {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** Starts `mq ARGS` from source; `env` on top of this process's. */
export function spawnMq(args: string[], options: { stdin?: string; env?: Record<string, string> } = {}) {
  return Bun.spawn([process.execPath, ENTRY, ...args], {
    stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, NAMESRV_ADDR: "127.0.0.1:1", NO_COLOR: "1", ...options.env },
  });
}

/** Runs `mq ARGS` to its end. */
export async function runMq(args: string[], options: Parameters<typeof spawnMq>[1] = {}): Promise<Finished> {
  const child = spawnMq(args, options);
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr, exitCode };
}

/** Reads until `text` has come, and gives all that came; throws when the stream ends before it. */
export async function readUntil(stream: ReadableStream<Uint8Array<ArrayBuffer>>, text: string): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let all = "";
  while (!all.includes(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the stream ended before ${JSON.stringify(text)}: ${all}`);
    all += decoder.decode(value, { stream: true });
  }
  reader.releaseLock();
  return all;
}
