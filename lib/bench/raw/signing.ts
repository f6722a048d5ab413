import {
  ACCESS_KEY,
  type Credentials,
  SECURITY_TOKEN,
  SIGNATURE,
  SIGNATURE_LENGTH,
  signature,
  signedText,
} from "../../client/credentials.ts";
import { FRAME_PREFIX_BYTES } from "../../remoting/frame.ts";

/** Keeps the place of a signature in a frame that is not signed yet. */
const SIGNATURE_MARK = "=signature=".padEnd(SIGNATURE_LENGTH, "=");

/** How a frame that is sent many times is signed anew each time. */
export interface FrameSigning {
  credentials: Credentials;
  /** What is signed of the header; its changing places are filled from the frame. */
  text: Buffer;
  places: readonly { frameAt: number; textAt: number; bytes: number }[];
  signatureAt: number;
  bodyAt: number;
}

/** The fields with access key, token and room for a signature. */
export function fieldsToSign(
  fields: Readonly<Record<string, string>>,
  { accessKey, securityToken }: Credentials,
): Record<string, string> {
  return {
    ...fields,
    [ACCESS_KEY]: accessKey,
    ...(securityToken === undefined ? {} : { [SECURITY_TOKEN]: securityToken }),
    [SIGNATURE]: SIGNATURE_MARK,
  };
}

/** `frame` is made of `fieldsToSign`; `marks` stand where its header changes from message to message. */
export function frameSigning(
  frame: Buffer,
  fields: Readonly<Record<string, string>>,
  bodyBytes: number,
  credentials: Credentials,
  marks: readonly string[],
): FrameSigning {
  const text = Buffer.from(signedText(fields));
  const bodyAt = frame.length - bodyBytes;
  const places = marks.flatMap((mark) => {
    const frameAt = frame.indexOf(mark, FRAME_PREFIX_BYTES);
    const textAt = text.indexOf(mark);
    return textAt < 0 || frameAt < 0 || frameAt >= bodyAt ? [] : [{ frameAt, textAt, bytes: mark.length }];
  });
  return { credentials, text, places, signatureAt: frame.indexOf(SIGNATURE_MARK, FRAME_PREFIX_BYTES), bodyAt };
}

/** Signs the copy of the frame that lies in `out` from `at` to `end`, its numbers written already. */
export function signFrame(signing: FrameSigning, out: Buffer, at: number, end: number): void {
  const { credentials, text, places, signatureAt, bodyAt } = signing;
  for (const { frameAt, textAt, bytes } of places) out.copy(text, textAt, at + frameAt, at + frameAt + bytes);
  out.write(signature(credentials, text, out.subarray(at + bodyAt, end)), at + signatureAt, "latin1");
}
