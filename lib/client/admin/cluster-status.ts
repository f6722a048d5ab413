import * as v from "valibot";
import { decimal, flag, integer, mapOf, parseBody, text } from "../../protocol/body/tolerant.ts";
import { RequestCode } from "../../remoting/codes.ts";
import type { AdminClient } from "./admin-client.ts";

const MASTER_ID = 0;
/** [haHousekeepingInterval] */
const IDLE_MS = 20_000;

const slaveSchema = v.object({
  addr: v.nullish(text, ""),
  slaveAckOffset: v.nullish(integer, 0),
  diff: v.nullish(integer, 0),
  inSync: v.nullish(flag, false),
  transferredByteInSecond: v.nullish(integer, 0),
});

/** [HARuntimeInfo] */
const haRuntimeInfoSchema = v.object({
  master: v.nullish(flag, true),
  masterCommitLogMaxOffset: v.nullish(integer, 0),
  inSyncSlaveNums: v.nullish(integer, 0),
  haConnectionInfo: v.nullish(v.array(slaveSchema), () => []),
  haClientRuntimeInfo: v.nullish(
    v.object({
      maxOffset: v.nullish(integer, 0),
      masterAddr: v.nullish(text, ""),
      transferredByteInSecond: v.nullish(decimal, 0),
      lastReadTimestamp: v.nullish(integer, 0),
    }),
  ),
});

const runtimeSchema = v.object({ table: mapOf(text) });

/** A slave as its master sees it. */
export interface ConnectedSlave {
  /** Where its HA connection comes from. */
  address: string;
  ackOffset: number;
  behindBytes: number;
  inSync: boolean;
  bytesPerSecond: number;
}

export interface BrokerStatus {
  cluster: string;
  brokerName: string;
  brokerId: number;
  address: string;
  role: "master" | "slave" | "acting master";
  /** Why nothing more is known: it did not answer. */
  fault?: string;
  version?: string;
  /** End of its commit log. */
  maxOffset?: number;
  putTps?: number;
  getTps?: number;
  /** A master's; absent on a slave. */
  slaves?: ConnectedSlave[];
  inSyncSlaves?: number;
  /** A slave's distance from its master's log; absent where that does not answer. */
  behindBytes?: number;
  /** A slave has heard of its master within RocketMQ's house-keeping time. */
  connected?: boolean;
  /** A slave counts for its master; absent where that does not answer. */
  inSync?: boolean;
}

/** Every registered broker with its role and how far replication is, sorted by cluster, name and id. Brokers that do not answer are in it. */
export async function clusterStatus(admin: AdminClient, cluster?: string): Promise<BrokerStatus[]> {
  const info = await admin.clusterInfo();
  if (cluster !== undefined) await admin.masters(cluster);
  const asked: Promise<BrokerStatus>[] = [];
  for (const [clusterName, brokerNames] of info.clusterAddrTable) {
    if (cluster !== undefined && clusterName !== cluster) continue;
    for (const brokerName of brokerNames) {
      const group = info.brokerAddrTable.get(brokerName);
      if (group === undefined) continue;
      const acting = group.enableActingMaster ? Math.min(...group.brokerAddrs.keys()) : MASTER_ID;
      for (const [brokerId, address] of group.brokerAddrs) {
        const role = brokerId === MASTER_ID ? "master" : brokerId === acting ? "acting master" : "slave";
        asked.push(ask(admin, { cluster: clusterName, brokerName, brokerId, address, role }));
      }
    }
  }
  const brokers = await Promise.all(asked);
  for (const broker of brokers) if (broker.brokerId !== MASTER_ID) compare(broker, brokers);
  const key = ({ cluster: name, brokerName, brokerId }: BrokerStatus) =>
    `${name}\n${brokerName}\n${String(brokerId).padStart(20, "0")}`;
  return brokers.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

async function ask(admin: AdminClient, broker: BrokerStatus): Promise<BrokerStatus> {
  const { address } = broker;
  try {
    const [runtime, replication] = await Promise.all([
      admin.call(address, { code: RequestCode.GET_BROKER_RUNTIME_INFO }, "ask for the figures"),
      admin.call(address, { code: RequestCode.GET_BROKER_HA_STATUS }, "ask for the state of replication"),
    ]);
    const { table } = parseBody(runtimeSchema, runtime.body, `the figures of ${address}`);
    const ha = parseBody(haRuntimeInfoSchema, replication.body, `the state of replication of ${address}`);
    const maxOffset = Number(table.get("commitLogMaxOffset") ?? ha.masterCommitLogMaxOffset);
    const known = { ...broker, version: table.get("brokerVersionDesc") ?? "", maxOffset, ...rates(table) };
    if (!ha.master)
      return { ...known, connected: Date.now() - (ha.haClientRuntimeInfo?.lastReadTimestamp ?? 0) < IDLE_MS };
    const slaves = ha.haConnectionInfo.map((slave) => ({
      address: slave.addr,
      ackOffset: slave.slaveAckOffset,
      behindBytes: Math.max(0, slave.diff),
      inSync: slave.inSync,
      bytesPerSecond: slave.transferredByteInSecond,
    }));
    return { ...known, slaves, inSyncSlaves: ha.inSyncSlaveNums };
  } catch (error) {
    return { ...broker, fault: error instanceof Error ? error.message : String(error) };
  }
}

/** The averages of the last ten seconds, which come first of three. */
function rates(table: ReadonlyMap<string, string>): { putTps: number; getTps: number } {
  const first = (name: string) => Number(table.get(name)?.trim().split(/\s+/)[0] ?? 0) || 0;
  return { putTps: first("putTps"), getTps: first("getTransferredTps") };
}

function compare(slave: BrokerStatus, brokers: readonly BrokerStatus[]): void {
  const master = brokers.find(({ brokerName, brokerId }) => brokerName === slave.brokerName && brokerId === MASTER_ID);
  if (master?.maxOffset !== undefined && slave.maxOffset !== undefined)
    slave.behindBytes = Math.max(0, master.maxOffset - slave.maxOffset);
  if (master?.slaves === undefined || slave.fault !== undefined) return;
  // HA connections come from other ports than the one that is registered.
  const host = (address: string) => address.slice(0, address.lastIndexOf(":"));
  const own = master.slaves.filter(({ address }) => host(address) === host(slave.address));
  slave.inSync = slave.connected === true && (own.length > 0 ? own : master.slaves).some(({ inSync }) => inSync);
}
