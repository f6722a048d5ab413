import { defineCommand } from "citty";
import { splitAddresses } from "../lib/broker/name-server-list.ts";
import { brokerConfigKeys, loadBrokerConfig } from "../lib/config/broker-config.ts";
import { parseAddress } from "../lib/remoting/address.ts";
import { BrokerService } from "./broker-service.ts";
import { say } from "./out.ts";
import { endsAfterConfig } from "./print-config.ts";
import { ReadyFile } from "./ready-file.ts";
import { ServiceRunner } from "./serve.ts";
import { serverArgs, setOverrides } from "./server-flags.ts";
import { requireProduction, warnSoon } from "./start-checks.ts";

const LOOPBACK = "127.0.0.1";
/** Keys that say from where the broker is to be reached. */
const REACH = new Set(["namesrvAddr", "bindAddress", "brokerIP1"]);

export const brokerCommand = defineCommand({
  meta: {
    name: "broker",
    description: "Runs a broker on RocketMQ's own files. Without any configuration it listens on loopback only.",
  },
  args: {
    namesrvAddr: {
      type: "string",
      alias: "n",
      valueHint: "ADDR",
      description: "Name servers, 'host1:9876;host2:9876' (wins over the file; without any, one is embedded)",
    },
    production: {
      type: "boolean",
      description: "Refuse to start (78) when open files, max_map_count, disk or file system are not fit for it",
    },
    "stop-with-stdin": {
      type: "boolean",
      description: "Stop in good order when standard input ends: a broker that must not outlive who started it",
    },
    ...serverArgs,
  },
  async run({ args, rawArgs }) {
    const overrides = setOverrides(rawArgs);
    if (args.namesrvAddr !== undefined) {
      for (const address of splitAddresses(args.namesrvAddr)) parseAddress(address);
      overrides.push(["namesrvAddr", args.namesrvAddr]);
    }
    const alone =
      args.configFile === undefined &&
      (process.env.NAMESRV_ADDR ?? "") === "" &&
      !overrides.some(([name]) => REACH.has(name));
    if (alone) overrides.push(["bindAddress", LOOPBACK]);
    const loaded = loadBrokerConfig({ file: args.configFile, overrides, lenient: args.lenient });
    if (endsAfterConfig(brokerConfigKeys, loaded, args)) return;
    const { config } = loaded;
    if (args.production) await requireProduction(config);
    const service = new BrokerService(loaded.config, (error) => runner.fatal(error), {
      readyFile: new ReadyFile(args["ready-file"]),
    });
    const runner = new ServiceRunner(service);
    if (alone)
      say("nothing says where the broker is to be reached: it listens on loopback only; set bindAddress or brokerIP1");
    if (args["stop-with-stdin"]) runner.stopWithStdin();
    await runner.run();
    if (!args.production) warnSoon(config);
  },
});
