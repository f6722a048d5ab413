import { createHmac } from "node:crypto";
import { UsageError } from "../base/errors.ts";
import { createRemotingClient, type RemotingClientOptions } from "../remoting/client.ts";
import type { RemotingClient, RemotingRequest } from "../remoting/types.ts";

/** [SessionCredentials] Who asks, and the secret that proves it. */
export interface Credentials {
  accessKey: string;
  secretKey: string;
  securityToken?: string | undefined;
}

/** Names of the header fields [SessionCredentials]. */
export const ACCESS_KEY = "AccessKey";
export const SIGNATURE = "Signature";
export const SECURITY_TOKEN = "SecurityToken";
/** Base64 of an HMAC-SHA1. */
export const SIGNATURE_LENGTH = 28;

const ACCESS_KEY_ENV = "MQ_ACCESS_KEY";
const SECRET_KEY_ENV = "MQ_SECRET_KEY";
const SECURITY_TOKEN_ENV = "MQ_SECURITY_TOKEN";

/** What the environment gives, for commands that were told nothing else; undefined without. Throws UsageError for a half. */
export function environmentCredentials(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Credentials | undefined {
  const accessKey = env[ACCESS_KEY_ENV] ?? "";
  const secretKey = env[SECRET_KEY_ENV] ?? "";
  if (accessKey === "" && secretKey === "") return undefined;
  if (accessKey === "" || secretKey === "")
    throw new UsageError(
      `read the credentials: found ${accessKey === "" ? SECRET_KEY_ENV : ACCESS_KEY_ENV} alone, want ${ACCESS_KEY_ENV} and ${SECRET_KEY_ENV}`,
    );
  return { accessKey, secretKey, securityToken: env[SECURITY_TOKEN_ENV] || undefined };
}

/**
 * What is signed of the header: the values of all fields but the signature, in the order of their names, one behind the other
 * [AclUtils#combineRequestContent].
 */
export function signedText(fields: Readonly<Record<string, string>>): string {
  return Object.keys(fields)
    .filter((name) => name !== SIGNATURE)
    .sort()
    .map((name) => fields[name])
    .join("");
}

/** Base64 of the HMAC-SHA1 over text and body [AclSigner#calSignature]. */
export function signature(
  { secretKey }: Credentials,
  text: string | Uint8Array,
  body?: Uint8Array | string | undefined,
): string {
  const hmac = createHmac("sha1", secretKey).update(text);
  if (body !== undefined && body.length > 0) hmac.update(body);
  return hmac.digest("base64");
}

/** The fields with access key, token and signature added. */
export function signFields(
  credentials: Credentials,
  ext: RemotingRequest["ext"],
  body: Uint8Array | string | undefined,
): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(ext ?? {})) if (value !== undefined) fields[name] = String(value);
  fields[ACCESS_KEY] = credentials.accessKey;
  if (credentials.securityToken !== undefined) fields[SECURITY_TOKEN] = credentials.securityToken;
  fields[SIGNATURE] = signature(credentials, signedText(fields), body);
  return fields;
}

/** The connections of a client: every request signed where there are credentials [AclClientRPCHook]. */
export function clientRemoting(
  credentials: Credentials | undefined = environmentCredentials(),
  options: RemotingClientOptions = {},
): RemotingClient {
  if (credentials === undefined) return createRemotingClient(options);
  return createRemotingClient({
    ...options,
    sign: (request) => ({ ...request, ext: signFields(credentials, request.ext, request.body) }),
  });
}
