import { lookup } from "node:dns/promises";
import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { errorText, MqError } from "../base/errors.ts";

/** An address that clients could be told, and what speaks against it. */
export interface AddressCandidate {
  address: string;
  interfaceName: string;
  /** loopback, bridge, link-local; undefined when clients elsewhere may reach it. */
  weakness: string | undefined;
}

export interface AdvertisedAddress {
  /** As name servers and clients are told: an IP or the name that was configured. */
  host: string;
  /** Its IP, as records carry it. */
  ip: string;
  /** Where the host comes from, for the line printed at start. */
  reason: string;
  /** Why clients on other machines cannot reach it; undefined when nothing speaks against it. */
  weakness: string | undefined;
  /** Other addresses that were as good when it was guessed. */
  equals: string[];
}

const UNSPECIFIED = new Set(["", "0.0.0.0", "::", "*"]);

/** Addresses of this machine that are up, IPv4 before IPv6, in the system's order [NetworkUtil#getLocalAddress]. */
export function addressCandidates(): AddressCandidate[] {
  const v4: AddressCandidate[] = [];
  const v6: AddressCandidate[] = [];
  for (const [interfaceName, entries] of Object.entries(networkInterfaces())) {
    for (const { address, family, internal } of entries ?? []) {
      if (internal) continue;
      const candidate = { address, interfaceName, weakness: weaknessOf(address, interfaceName) };
      (family === "IPv4" ? v4 : v6).push(candidate);
    }
  }
  return [...v4, ...v6];
}

/**
 * Picks what RocketMQ would: the first IPv4 address that is not 192.168.*, else the last one, bridges left out; an address
 * bound explicitly before any guess; loopback when there is nothing else.
 */
export async function chooseAdvertisedAddress(
  configured: string | undefined,
  bindAddress: string,
): Promise<AdvertisedAddress> {
  if (configured !== undefined && configured !== "") return resolved(configured, "configured");
  if (!UNSPECIFIED.has(bindAddress)) return resolved(bindAddress, `bindAddress=${bindAddress}`);
  const candidates = addressCandidates();
  const usable = candidates.filter(({ weakness }) => weakness === undefined);
  const v4 = usable.filter(({ address }) => isIP(address) === 4);
  const picked = v4.find(({ address }) => !address.startsWith("192.168.")) ?? v4.at(-1) ?? usable[0] ?? candidates[0];
  const address = picked?.address ?? "127.0.0.1";
  const others = candidates.filter((candidate) => candidate !== picked).map(describe);
  const equals = v4.filter((candidate) => candidate !== picked).map(describe);
  const reason = `guessed from interface ${picked?.interfaceName ?? "lo"}${others.length === 0 ? "" : `; others: ${others.join(", ")}`}`;
  return { host: address, ip: address, reason, weakness: picked === undefined ? "loopback" : picked.weakness, equals };
}

async function resolved(host: string, reason: string): Promise<AdvertisedAddress> {
  if (isIP(host) !== 0) return { host, ip: host, reason, weakness: weaknessOf(host, interfaceOf(host)), equals: [] };
  try {
    const { address } = await lookup(host);
    return {
      host,
      ip: address,
      reason: `${reason}, resolves to ${address}`,
      weakness: weaknessOf(address, interfaceOf(address)),
      equals: [],
    };
  } catch (error) {
    throw new MqError(`resolve the advertised address ${host} (brokerIP1): ${errorText(error)}`, 1, { cause: error });
  }
}

function interfaceOf(ip: string): string {
  for (const [name, entries] of Object.entries(networkInterfaces())) {
    if (entries?.some(({ address }) => address === ip)) return name;
  }
  return "";
}

function weaknessOf(ip: string, interfaceName: string): string | undefined {
  if (ip.startsWith("127.") || ip === "::1") return "loopback";
  if (ip.startsWith("169.254.") || /^fe[89ab]/i.test(ip)) return "link-local";
  if (interfaceName !== "" && existsSync(`/sys/class/net/${interfaceName}/bridge`)) return `bridge ${interfaceName}`;
  return undefined;
}

function describe({ address, interfaceName, weakness }: AddressCandidate): string {
  return `${address} (${interfaceName}${weakness === undefined ? "" : `, ${weakness}`})`;
}

/** Whether a `host:port` points at this machine only. */
export function isLoopback(address: string): boolean {
  const host = address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return host === "localhost" || host.startsWith("127.") || host === "::1";
}
