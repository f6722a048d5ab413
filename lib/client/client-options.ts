import { networkInterfaces } from "node:os";
import { UsageError } from "../base/errors.ts";
import { createLogger, type Logger } from "../base/log.ts";
import { type Credentials, environmentCredentials } from "./credentials.ts";

/** [ClientConfig] What producers, consumers and admin clients have in common. */
export interface ClientOptions {
  /** `host:port;host:port`. Default: NAMESRV_ADDR, else 127.0.0.1:9876. */
  namesrvAddr?: string | undefined;
  /** Part of the client id. Default: `<pid>#<ns>`, and DEFAULT for broadcasting consumers, whose offset file must be found again. */
  instanceName?: string | undefined;
  /** Address in the client id; default: the first one that is not loopback. */
  clientIP?: string | undefined;
  unitName?: string | undefined;
  /** ms between two looks at the routes of the topics in use. */
  pollNameServerInterval?: number;
  /** ms between two heartbeats. */
  heartbeatBrokerInterval?: number;
  /** ms between two commits of a consumer's offsets. */
  persistConsumerOffsetInterval?: number;
  /** ms that a call which is no send and no pull may take. */
  mqClientApiTimeout?: number;
  /** Sign every request with these; default: MQ_ACCESS_KEY and MQ_SECRET_KEY, where they are set. */
  credentials?: Credentials | undefined;
  logger?: Logger;
}

/** `ClientOptions` with everything filled in. */
export interface ResolvedClientOptions {
  namesrvAddr: string;
  clientId: string;
  pollNameServerInterval: number;
  heartbeatBrokerInterval: number;
  persistConsumerOffsetInterval: number;
  mqClientApiTimeout: number;
  credentials: Credentials | undefined;
  logger: Logger;
}

export const DEFAULT_NAMESRV_ADDR = "127.0.0.1:9876";

export function resolveClientOptions(options: ClientOptions, defaultInstanceName: string): ResolvedClientOptions {
  const namesrvAddr = options.namesrvAddr ?? process.env.NAMESRV_ADDR ?? DEFAULT_NAMESRV_ADDR;
  parseNamesrvAddr(namesrvAddr);
  const unit = options.unitName === undefined || options.unitName === "" ? "" : `@${options.unitName}`;
  return {
    namesrvAddr,
    clientId: `${options.clientIP ?? localAddress()}@${options.instanceName ?? defaultInstanceName}${unit}`,
    pollNameServerInterval: options.pollNameServerInterval ?? 30_000,
    heartbeatBrokerInterval: options.heartbeatBrokerInterval ?? 30_000,
    persistConsumerOffsetInterval: options.persistConsumerOffsetInterval ?? 5_000,
    mqClientApiTimeout: options.mqClientApiTimeout ?? 3_000,
    credentials: options.credentials ?? environmentCredentials(),
    logger: options.logger ?? createLogger("client"),
  };
}

/** The list in `a:9876;b:9876`. Throws UsageError with the part that is no `host:port`. */
export function parseNamesrvAddr(text: string): string[] {
  const addresses = text
    .split(";")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (addresses.length === 0) throw new UsageError('read the name server address: found nothing, want "host:port"');
  for (const address of addresses) {
    const colon = address.lastIndexOf(":");
    const port = Number(address.slice(colon + 1));
    if (colon <= 0 || !Number.isInteger(port) || port < 1 || port > 65535) {
      throw new UsageError(`read the name server address: found "${address}", want "host:port"`);
    }
  }
  return addresses;
}

/** [ClientConfig#changeInstanceNameToPID] A name no other client of this machine has. */
export function processInstanceName(): string {
  return `${process.pid}#${process.hrtime.bigint()}`;
}

let cachedLocalAddress: string | undefined;

/** First address of this machine that others may reach, IPv4 before IPv6; 127.0.0.1 when there is none. */
export function localAddress(): string {
  cachedLocalAddress ??= findLocalAddress();
  return cachedLocalAddress;
}

function findLocalAddress(): string {
  let v6: string | undefined;
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) {
      if (internal) continue;
      if (family === "IPv4") return address;
      if (!address.startsWith("fe80")) v6 ??= address;
    }
  }
  return v6 ?? "127.0.0.1";
}
