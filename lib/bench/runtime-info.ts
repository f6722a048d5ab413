import * as v from "valibot";
import { mapOf, parseBody, text } from "../protocol/body/tolerant.ts";

/** [KVTable] */
const kvTableSchema = v.object({ table: mapOf(text) });

/** Body of code 28 as plain names and values; empty where it is something else. */
export function parseRuntimeInfo(body: string): Record<string, string> {
  try {
    return Object.fromEntries(parseBody(kvTableSchema, Buffer.from(body), "the runtime information").table);
  } catch {
    return {};
  }
}
