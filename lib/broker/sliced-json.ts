import { stringifyFastjson } from "../base/fastjson.ts";

/** Entries encoded between two breaths of the event loop: about a millisecond. */
const SLICE_ENTRIES = 200;

const SLICE_HEAD = '{\n\t"t":{';
const SLICE_TAIL = "\n\t}\n}";

/**
 * The pretty fastjson text of an object with large tables, made in slices so that the loop is not held up. `head` has the small
 * members, one at least; each table becomes a member behind them. Entries that change meanwhile come as they are when their slice is made.
 */
export async function encodeSliced(
  head: Record<string, unknown>,
  tables: readonly (readonly [name: string, entries: Iterable<readonly [string, unknown]>])[],
): Promise<string> {
  const parts: string[] = [stringifyFastjson(head, { pretty: true }).replace(/\n}$/, "")];
  for (const [name, entries] of tables) {
    parts.push(`,
	${JSON.stringify(name)}:{`);
    const filled = await encodeEntries(entries, parts);
    parts.push(filled ? "\n\t}" : "}");
  }
  parts.push("\n}");
  return parts.join("");
}

async function encodeEntries(entries: Iterable<readonly [string, unknown]>, parts: string[]): Promise<boolean> {
  let slice = new Map<string, unknown>();
  let filled = false;
  const take = (): void => {
    if (slice.size === 0) return;
    const text = stringifyFastjson({ t: slice }, { pretty: true });
    parts.push(filled ? "," : "", text.slice(SLICE_HEAD.length, -SLICE_TAIL.length));
    filled = true;
    slice = new Map();
  };
  for (const [key, value] of entries) {
    slice.set(key, value);
    if (slice.size < SLICE_ENTRIES) continue;
    take();
    await new Promise((resolve) => setImmediate(resolve));
  }
  take();
  return filled;
}
