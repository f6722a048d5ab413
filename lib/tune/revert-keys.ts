import { type Edit, edited, parseProperties, propertyPlaces } from "../config/properties.ts";

/**
 * Takes keys of a broker's file back that somebody edited since: those that still have our value get their old line, or go where
 * there was none; all else stays. Texts are latin1, a character a byte.
 */
export function revertKeys(
  text: string,
  old: string,
  keys: Readonly<Record<string, string>>,
  force: boolean,
): { text: string; left: string[] } {
  const places = propertyPlaces(text);
  const oldPlaces = propertyPlaces(old);
  const values = new Map(parseProperties(text).map(({ key, value }) => [key, value]));
  const oldValues = new Map(parseProperties(old).map(({ key, value }) => [key, value]));
  const edits: Edit[] = [];
  const left: string[] = [];
  for (const [key, ours] of Object.entries(keys)) {
    const now = values.get(key);
    if (now === oldValues.get(key)) continue;
    if (now !== ours && !force) {
      left.push(now === undefined ? `${key} was removed` : `${key} was set to ${now}`);
      continue;
    }
    const before = oldPlaces.get(key);
    const line = before === undefined ? "" : old.slice(before.from, before.to);
    edits.push({ ...(places.get(key) ?? { from: text.length, to: text.length }), text: line });
  }
  return { text: edited(text, edits), left };
}
