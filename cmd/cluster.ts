import { defineCommand } from "citty";
import * as v from "valibot";
import { AdminClient } from "../lib/client/admin/admin-client.ts";
import { type BrokerStatus, clusterStatus } from "../lib/client/admin/cluster-status.ts";
import { jsonArg, namesrvAddr, namesrvArg, parseFlags } from "./client-flags.ts";
import { printJson, printTable, warn } from "./out.ts";

const listSchema = v.object({
  namesrv: namesrvAddr,
  json: v.optional(v.boolean(), false),
  cluster: v.optional(v.string()),
});

const list = defineCommand({
  meta: { name: "list", description: "Brokers with their roles, connected slaves, bytes behind and who is in sync" },
  args: {
    namesrv: namesrvArg,
    json: jsonArg,
    cluster: { type: "string", alias: "c", description: "Only this cluster", valueHint: "cluster" },
  },
  async run({ args }) {
    const flags = parseFlags(listSchema, args);
    const admin = new AdminClient({ namesrvAddr: flags.namesrv });
    try {
      const brokers = await clusterStatus(admin, flags.cluster);
      if (flags.json) printJson({ brokers });
      else printBrokers(brokers);
    } finally {
      await admin.close();
    }
  },
});

function printBrokers(brokers: readonly BrokerStatus[]): void {
  printTable(
    [
      "CLUSTER",
      "BROKER",
      "ID",
      "ROLE",
      "ADDRESS",
      "LOG END",
      "SLAVES",
      "IN SYNC",
      "BEHIND",
      "IN/S",
      "OUT/S",
      "VERSION",
    ],
    brokers.map((broker) => [
      broker.cluster,
      broker.brokerName,
      broker.brokerId,
      broker.role,
      broker.address,
      broker.maxOffset ?? "-",
      broker.slaves?.length ?? "-",
      broker.inSyncSlaves ?? (broker.inSync === undefined ? "-" : broker.inSync ? "yes" : "no"),
      behind(broker),
      broker.putTps?.toFixed(1) ?? "-",
      broker.getTps?.toFixed(1) ?? "-",
      broker.version ?? "does not answer",
    ]),
  );
  for (const { address, fault } of brokers) if (fault !== undefined) warn(`${address}: ${fault}`);
}

/** A slave's own distance; of a master that of its slowest slave. */
function behind({ behindBytes, slaves }: BrokerStatus): number | string {
  if (slaves === undefined || slaves.length === 0) return behindBytes ?? "-";
  return Math.max(...slaves.map((slave) => slave.behindBytes));
}

export const clusterCommand = defineCommand({
  meta: { name: "cluster", description: "Look at the brokers of a cluster" },
  subCommands: { list },
});
