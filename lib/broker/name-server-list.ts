import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { errorText } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { formatAddress, parseAddress } from "../remoting/address.ts";

const ADDRESS_SERVER_PERIOD_MS = 10_000;
const DNS_PERIOD_MS = 120_000;
const ADDRESS_SERVER_TIMEOUT_MS = 3_000;
/** An address server that answers with more than this is not one. */
const ADDRESSES_MAX = 100;

export interface NameServerListOptions {
  /** `host:port` separated by `;`, `,` or blanks. */
  namesrvAddr: string;
  /** Replaces each name by all addresses it resolves to, again and again [fetchNamesrvAddrByDnsLookup]. */
  byDnsLookup: boolean;
  /** URL that answers with the list as text; undefined without an address server. */
  addressServerUrl: string | undefined;
  logger: Logger;
  onChange: () => void;
}

/** Splits a list of addresses at what people write between them. */
export function splitAddresses(text: string): string[] {
  return [...new Set(text.split(/[;,\s]+/).filter((address) => address !== ""))];
}

/** URL of an address server [TopAddressing, MixAll#getWSAddr]: port 8080 unless the domain names one. */
export function addressServerUrl(domain: string, subGroup: string): string {
  return domain.includes(":") ? `http://${domain}/rocketmq/${subGroup}` : `http://${domain}:8080/rocketmq/${subGroup}`;
}

/** The name servers to register with: a fixed list, what its names resolve to, or what an address server says. */
export class NameServerList {
  addresses: string[];
  private readonly configured: string[];
  private timer: ReturnType<typeof setInterval> | undefined;
  private failing = false;

  constructor(private readonly options: NameServerListOptions) {
    this.configured = splitAddresses(options.namesrvAddr);
    // A malformed address stops the start: registering nowhere in silence is worse.
    for (const address of this.configured) parseAddress(address);
    this.addresses = [...this.configured];
  }

  /** Fetches once, then again and again. */
  async start(): Promise<void> {
    const { addressServerUrl: url, byDnsLookup } = this.options;
    const fetched = url !== undefined && this.configured.length === 0;
    if (!fetched && !byDnsLookup) return;
    const refresh = fetched ? () => this.fetch(url) : () => this.resolve();
    await refresh();
    this.timer = setInterval(() => void refresh(), fetched ? ADDRESS_SERVER_PERIOD_MS : DNS_PERIOD_MS);
  }

  shutdown(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private async fetch(url: string): Promise<void> {
    try {
      const { ofetch } = await import("ofetch");
      const text = await ofetch<string, "text">(url, {
        responseType: "text",
        timeout: ADDRESS_SERVER_TIMEOUT_MS,
        retry: 0,
      });
      const addresses = splitAddresses(text).slice(0, ADDRESSES_MAX);
      if (addresses.length === 0) throw new Error("it answered with an empty list");
      for (const address of addresses) parseAddress(address);
      this.update(addresses, `address server ${url}`);
    } catch (error) {
      this.failed(`fetch name servers from ${url}`, error);
    }
  }

  private async resolve(): Promise<void> {
    const addresses: string[] = [];
    for (const configured of this.configured) {
      const { hostname, port } = parseAddress(configured);
      if (isIP(hostname) !== 0) {
        addresses.push(configured);
        continue;
      }
      try {
        for (const { address } of await lookup(hostname, { all: true })) addresses.push(formatAddress(address, port));
      } catch (error) {
        this.failed(`resolve name server ${hostname}`, error);
        addresses.push(configured);
      }
    }
    this.update([...new Set(addresses)].slice(0, ADDRESSES_MAX), "name lookup");
  }

  private update(addresses: string[], source: string): void {
    if (this.failing) this.options.logger.info("name server list is available again", { source });
    this.failing = false;
    if ([...addresses].sort().join() === [...this.addresses].sort().join()) return;
    this.options.logger.info("name server list changed", {
      source,
      old: this.addresses.join(";"),
      new: addresses.join(";"),
    });
    this.addresses = addresses;
    this.options.onChange();
  }

  /** Said once; the last good list stays in use. */
  private failed(action: string, error: unknown): void {
    if (this.failing) return;
    this.failing = true;
    this.options.logger.error(`${action}: ${errorText(error)}`, { kept: this.addresses.join(";") });
  }
}
