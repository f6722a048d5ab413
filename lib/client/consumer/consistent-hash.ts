import { createHash } from "node:crypto";

/**
 * [ConsistentHashRouter] Maps a key to one of `nodes`: `virtualNodes` ring positions per node at the hash of `node-i`; the first
 * position at or behind the key's hash wins, past the last one the first.
 */
export function consistentHashRouter(
  nodes: readonly string[],
  virtualNodes: number,
): (key: string) => string | undefined {
  const ring = new Map<number, string>();
  for (const node of nodes) {
    for (let i = 0; i < virtualNodes; i++) ring.set(md5Hash(`${node}-${i}`), node);
  }
  const positions = [...ring.keys()].sort((a, b) => a - b);
  return (key) => {
    const hash = md5Hash(key);
    const position = positions.find((at) => at >= hash) ?? positions[0];
    return position === undefined ? undefined : ring.get(position);
  };
}

/** First four MD5 bytes, unsigned [ConsistentHashRouter.MD5Hash#hash]. */
function md5Hash(text: string): number {
  return createHash("md5").update(text, "utf8").digest().readUInt32BE(0);
}
