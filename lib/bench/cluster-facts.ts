import { AdminClient } from "../client/admin/admin-client.ts";
import { type Credentials, clientRemoting } from "../client/credentials.ts";
import { parseProperties } from "../config/properties.ts";
import { listeningPid } from "../os/port-owner.ts";
import { RequestCode, ResponseCode } from "../remoting/codes.ts";
import { fileSystemName } from "./resources/machine.ts";
import type { BrokerRecord } from "./result.ts";
import { parseRuntimeInfo } from "./runtime-info.ts";

const TIMEOUT_MS = 5000;
/** Keys whose values are nobody's business in a file that is passed on. */
const SECRET = /password|passwd|secret|accesskey|token|credential/i;
const LOCAL = /^(?:127\.|localhost$|\[?::1\]?$)/;

/** What a broker said of itself, and where its port is. */
export interface BrokerFacts extends BrokerRecord {
  host: string;
  port: number;
}

/**
 * Every master that the name servers know: its settings as it tells them (code 26), version and runtime (code 28), and its process
 * where it runs on this machine. What a broker does not tell is left out. Throws what the name servers' client throws.
 */
export async function describeBrokers(
  target: string,
  namesrvAddr: string,
  cluster?: string | undefined,
  credentials?: Credentials | undefined,
): Promise<BrokerFacts[]> {
  const admin = new AdminClient({ namesrvAddr, credentials });
  const remoting = clientRemoting(credentials);
  try {
    const masters = await admin.masters(cluster);
    return await Promise.all(
      masters.map(async ({ brokerName, cluster: name, address }) => {
        const ask = async (code: number) => {
          const response = await remoting.invoke(address, { code }, TIMEOUT_MS).catch(() => undefined);
          return response?.code === ResponseCode.SUCCESS ? (response.body?.toString("utf8") ?? "") : "";
        };
        const [config, runtime] = await Promise.all([
          ask(RequestCode.GET_BROKER_CONFIG).then(publicConfig),
          ask(RequestCode.GET_BROKER_RUNTIME_INFO).then(parseRuntimeInfo),
        ]);
        const { host, port } = splitAddress(address);
        const pid = LOCAL.test(host) ? await listeningPid(port) : undefined;
        const store = config.storePathRootDir;
        const fileSystem = pid !== undefined && store !== undefined ? fileSystemName(store) : undefined;
        return {
          target,
          brokerName,
          cluster: name,
          brokerId: 0,
          address,
          host,
          port,
          version: runtime.brokerVersionDesc,
          pid,
          fileSystem,
          config,
        };
      }),
    );
  } finally {
    await remoting.close();
    await admin.close();
  }
}

/** The broker's runtime information (code 28); empty where it does not answer. */
export async function brokerRuntime(
  address: string,
  credentials?: Credentials | undefined,
): Promise<Record<string, string>> {
  const remoting = clientRemoting(credentials);
  try {
    const request = { code: RequestCode.GET_BROKER_RUNTIME_INFO };
    const response = await remoting.invoke(address, request, TIMEOUT_MS).catch(() => undefined);
    return response?.code === ResponseCode.SUCCESS ? parseRuntimeInfo(response.body?.toString("utf8") ?? "") : {};
  } finally {
    await remoting.close();
  }
}

export function publicConfig(text: string): Record<string, string> {
  const config: Record<string, string> = {};
  try {
    for (const { key, value } of parseProperties(text)) if (!SECRET.test(key)) config[key] = value;
  } catch {
    // A broker that answers something else: its settings stay unknown.
  }
  return config;
}

export function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(address.slice(colon + 1)) };
}
