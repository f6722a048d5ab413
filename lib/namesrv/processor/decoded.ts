import { errorText } from "../../base/errors.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import { ResponseError } from "../../remoting/response-error.ts";

/** What `decode` makes of a request's body. Throws a ResponseError that says why the body is none such. */
export function decoded<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new ResponseError(ResponseCode.SYSTEM_ERROR, `Failed to decode ${what}: ${errorText(error)}`);
  }
}
