import * as v from "valibot";
import { UsageError } from "../lib/base/errors.ts";
import { type Credentials, environmentCredentials } from "../lib/client/credentials.ts";

/** Flags of RocketMQ's benchmark for clusters that check who asks; every client command takes the keys from the environment too. */
export const credentialArgs = {
  aclEnable: { type: "boolean", alias: "a", description: "Sign every request (implied by keys)" },
  accessKey: { type: "string", description: "Who asks (default: MQ_ACCESS_KEY)", valueHint: "name" },
  secretKey: {
    type: "string",
    description: "The secret to sign with (default: MQ_SECRET_KEY, which no list of processes shows)",
    valueHint: "secret",
  },
} as const;

const key = v.optional(v.pipe(v.string(), v.nonEmpty("a key")));
export const credentialEntries = { aclEnable: v.optional(v.boolean(), false), accessKey: key, secretKey: key };

interface CredentialFlags {
  aclEnable: boolean;
  accessKey?: string | undefined;
  secretKey?: string | undefined;
}

/** Keys of the flags, else of the environment; undefined where there are none. Throws UsageError where one is missing. */
export function credentialsOf({ aclEnable, accessKey, secretKey }: CredentialFlags): Credentials | undefined {
  const given = environmentCredentials();
  const credentials = {
    ...given,
    accessKey: accessKey ?? given?.accessKey ?? "",
    secretKey: secretKey ?? given?.secretKey ?? "",
  };
  if (credentials.accessKey !== "" && credentials.secretKey !== "") return credentials;
  if (!aclEnable && accessKey === undefined && secretKey === undefined) return undefined;
  const missing = credentials.accessKey === "" ? "--accessKey" : "--secretKey";
  throw new UsageError(
    `${missing} is missing, want both keys to sign with, as flags or in MQ_ACCESS_KEY and MQ_SECRET_KEY`,
  );
}

const KEY_FLAG = /^--(?:secretKey|accessKey)(=|$)/;

/** The command line as results keep it: without keys. */
export function shownCommand(command: string, rawArgs: readonly string[]): string {
  const shown = rawArgs.map((arg, i) => {
    const own = KEY_FLAG.exec(arg);
    if (own?.[1] === "=") return `${arg.slice(0, arg.indexOf("=") + 1)}***`;
    return i > 0 && KEY_FLAG.exec(rawArgs[i - 1]!)?.[1] === "" ? "***" : arg;
  });
  return [command, ...shown].join(" ");
}
