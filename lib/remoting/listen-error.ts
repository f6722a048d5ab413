import { ExitCode, MqError } from "../base/errors.ts";
import { portOwner } from "../os/port-owner.ts";
import { formatAddress } from "./address.ts";

/** The error of a listen that failed: address, what it is for and, where it can be seen, who holds the port. */
export async function listenError(hostname: string, port: number, error: unknown, what = ""): Promise<MqError> {
  const code = (error as { code?: unknown } | undefined)?.code;
  const address = `${formatAddress(hostname, port)}${what === "" ? "" : ` ${what}`}`;
  if (code !== "EADDRINUSE") return new MqError(`listen on ${address}`, ExitCode.failure, { cause: error });
  const owner = await portOwner(port);
  return new MqError(
    `listen on ${address}: port is in use${owner === undefined ? "" : ` by ${owner}`}, want a free one`,
  );
}
