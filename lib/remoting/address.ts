import { UsageError } from "../base/errors.ts";

/** Splits `host:port`, `[v6]:port` or `v6:port` at the last colon. Throws UsageError. */
export function parseAddress(address: string): { hostname: string; port: number } {
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  let hostname = address.slice(0, Math.max(0, colon)).trim();
  if (hostname.startsWith("[") && hostname.endsWith("]")) hostname = hostname.slice(1, -1);
  if (hostname === "" || !/^\d+$/.test(address.slice(colon + 1).trim()) || port < 1 || port > 65535) {
    throw new UsageError(`parse address "${address}", want host:port with a port from 1 to 65535`);
  }
  return { hostname, port };
}

/** `ip:port`, an IPv6 address in brackets. */
export function formatAddress(ip: string, port: number): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** An IPv4 address that came in over an IPv6 socket, without its prefix. */
export function plainIp(ip: string): string {
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(ip) ? ip.slice(7) : ip;
}

/** Host as it stands in a record: 4 or 16 address bytes, then the port as int32 big-endian. Throws UsageError for text that is no IP address. */
export function hostBytes(ip: string, port: number): Buffer {
  const plain = plainIp(ip);
  const address = plain.includes(":") ? ipv6Bytes(plain) : ipv4Bytes(plain);
  const host = Buffer.alloc(address.length + 4);
  host.set(address);
  host.writeInt32BE(port, address.length);
  return host;
}

function ipv4Bytes(ip: string): number[] {
  const bytes = ip.split(".").map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : Number.NaN));
  if (bytes.length !== 4 || !bytes.every((byte) => byte >= 0 && byte <= 255)) throw notAnIp(ip);
  return bytes;
}

function ipv6Bytes(ip: string): number[] {
  const [head = "", tail, more] = (ip.split("%")[0] ?? "").split("::");
  if (more !== undefined) throw notAnIp(ip);
  const front = groups(head, ip);
  const back = tail === undefined ? [] : groups(tail, ip);
  const missing = 16 - front.length - back.length;
  if (tail === undefined ? missing !== 0 : missing < 0) throw notAnIp(ip);
  return [...front, ...new Array<number>(missing).fill(0), ...back];
}

function groups(text: string, ip: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return ipv4Bytes(group);
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) throw notAnIp(ip);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function notAnIp(ip: string): UsageError {
  return new UsageError(`parse IP address "${ip}", want four decimal or up to eight hexadecimal groups`);
}
