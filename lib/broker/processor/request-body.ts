import * as v from "valibot";
import { errorText } from "../../base/errors.ts";
import { parseFastjson } from "../../base/fastjson.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import { ResponseError } from "../../remoting/response-error.ts";

/** Parses and validates a JSON body; `what` names it in the refusal. Throws ResponseError with SYSTEM_ERROR. */
export function parseBody<T extends v.GenericSchema>(
  schema: T,
  body: Uint8Array | undefined,
  what: string,
): v.InferOutput<T> {
  if (body === undefined || body.length === 0)
    throw new ResponseError(ResponseCode.SYSTEM_ERROR, `${what}: body is empty`);
  let raw: unknown;
  try {
    raw = parseFastjson(body);
  } catch (error) {
    throw new ResponseError(ResponseCode.SYSTEM_ERROR, `${what}: body is no JSON: ${errorText(error)}`, {
      cause: error,
    });
  }
  const result = v.safeParse(schema, raw);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue) ?? "body";
  throw new ResponseError(ResponseCode.SYSTEM_ERROR, `${what}: ${path}: ${issue.message}`);
}
