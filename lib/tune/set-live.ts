import { closeSync, constants, openSync, writeSync } from "node:fs";
import { errorText, MqError } from "../base/errors.ts";
import type { Machine } from "./machine.ts";
import { chosenWord, type LiveOp } from "./plan.ts";
import type { Step } from "./replace-file.ts";
import { sameText } from "./values.ts";

/** Writes one value below /proc/sys or /sys. Never creates a file. */
export function writeLive(machine: Machine, path: string, value: string, step: Step): void {
  const real = machine.real(path);
  if (real === undefined) throw new MqError(`${path}: links in circles`);
  step(`write ${value} to ${path}`);
  // A tree of files keeps what was there behind a shorter value; the kernel takes one write as a whole.
  const text = machine.live ? value : chosen(machine.text(path) ?? "", value);
  const fd = openSync(real, constants.O_WRONLY | (machine.live ? 0 : constants.O_TRUNC));
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** What the kernel would show afterwards: of several words the brackets move, else it is the value. */
function chosen(before: string, value: string): string {
  const words = before.trim().split(/\s+/);
  const plainWords = words.map((word) => word.replace(/^\[(.*)\]$/, "$1"));
  if (!before.includes("[") || !plainWords.includes(value)) return `${value}\n`;
  return `${plainWords.map((word) => (word === value ? `[${word}]` : word)).join(" ")}\n`;
}

/** Sets a value and reads it back. Throws MqError with the value found when the kernel did not take it. */
export function setLive(machine: Machine, { key, path, after, twin }: LiveOp, step: Step): void {
  try {
    writeLive(machine, path, after, step);
    // The kernel clears the other of a pair by itself; a tree of files does not.
    if (twin !== undefined && !machine.live) writeLive(machine, twin.path, "0", step);
  } catch (error) {
    throw new MqError(`set ${key} to ${after}: ${errorText(error)}`, 1, { cause: error });
  }
  const now = chosenWord(machine.value(path));
  if (now === undefined || !sameText(now, after))
    throw new MqError(`set ${key}: found ${now ?? "nothing"} afterwards, want ${after}`);
}
