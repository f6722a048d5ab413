import { ResponseCode } from "./codes.ts";
import { ResponseError } from "./response-error.ts";

/**
 * Typed reading of the ext fields of an ordinary command. A missing or malformed field is a ResponseError with code SYSTEM_ERROR,
 * as a header that Java cannot decode is.
 */
type Ext = Record<string, string>;

const INT_MIN = -0x8000_0000;
const INT_MAX = 0x7fff_ffff;
const LONG_MAX = 2 ** 63;

export function requireString(ext: Ext, name: string): string {
  const value = ext[name];
  if (value === undefined) throw missing(name);
  return value;
}

export function optionalString(ext: Ext, name: string): string | undefined;
export function optionalString(ext: Ext, name: string, otherwise: string): string;
export function optionalString(ext: Ext, name: string, otherwise?: string): string | undefined {
  return ext[name] ?? otherwise;
}

export function requireInt(ext: Ext, name: string): number {
  return parseWhole(name, requireString(ext, name), INT_MIN, INT_MAX, "a 32-bit integer");
}

export function optionalInt(ext: Ext, name: string): number | undefined;
export function optionalInt(ext: Ext, name: string, otherwise: number): number;
export function optionalInt(ext: Ext, name: string, otherwise?: number): number | undefined {
  const value = ext[name];
  return value === undefined ? otherwise : parseWhole(name, value, INT_MIN, INT_MAX, "a 32-bit integer");
}

/** As a double: exact up to 2^53. */
export function requireLong(ext: Ext, name: string): number {
  return parseWhole(name, requireString(ext, name), -LONG_MAX, LONG_MAX, "a 64-bit integer");
}

export function optionalLong(ext: Ext, name: string): number | undefined;
export function optionalLong(ext: Ext, name: string, otherwise: number): number;
export function optionalLong(ext: Ext, name: string, otherwise?: number): number | undefined {
  const value = ext[name];
  return value === undefined ? otherwise : parseWhole(name, value, -LONG_MAX, LONG_MAX, "a 64-bit integer");
}

/** "true" in any case is true, everything else false [Boolean#parseBoolean]. */
export function requireBoolean(ext: Ext, name: string): boolean {
  return requireString(ext, name).toLowerCase() === "true";
}

export function optionalBoolean(ext: Ext, name: string): boolean | undefined;
export function optionalBoolean(ext: Ext, name: string, otherwise: boolean): boolean;
export function optionalBoolean(ext: Ext, name: string, otherwise?: boolean): boolean | undefined {
  const value = ext[name];
  return value === undefined ? otherwise : value.toLowerCase() === "true";
}

function parseWhole(name: string, text: string, min: number, max: number, want: string): number {
  const value = /^[-+]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw malformedHeader(name, text, want);
  return value;
}

function missing(name: string): ResponseError {
  return new ResponseError(
    ResponseCode.SYSTEM_ERROR,
    `decode request header: the custom field <${name}> is null, want a value`,
  );
}

/** What is thrown for a field whose text is not of its type. */
export function malformedHeader(name: string, text: string, want: string): ResponseError {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text;
  return new ResponseError(
    ResponseCode.SYSTEM_ERROR,
    `decode request header: field "${name}" is "${shown}", want ${want}`,
  );
}
