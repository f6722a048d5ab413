import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { defineCommand } from "citty";
import { loadBrokerConfig } from "../lib/config/broker-config.ts";
import { BrokerService } from "./broker-service.ts";
import { print } from "./out.ts";
import { ServiceRunner } from "./serve.ts";

/** The user's data folder [XDG Base Directory]. */
function dataFolder(): string {
  const base = process.env.XDG_DATA_HOME;
  return join(base !== undefined && base !== "" ? base : join(homedir(), ".local", "share"), "mq", "store");
}

export const startCommand = defineCommand({
  meta: {
    name: "start",
    description: "Runs a name server (9876) and a broker (10911) in one process, for this machine only.",
  },
  args: {
    store: {
      type: "string",
      valueHint: "DIR",
      description: "Where the data is kept (default: mq/store in the user's data folder)",
    },
  },
  async run({ args }) {
    const store = resolve(args.store ?? dataFolder());
    mkdirSync(store, { recursive: true });
    const { config } = loadBrokerConfig({
      overrides: [
        ["storePathRootDir", store],
        ["bindAddress", "127.0.0.1"],
        ["namesrvAddr", ""],
      ],
    });
    const service = new BrokerService(config, (error) => runner.fatal(error), {
      namesrv: {
        kvConfigPath: join(store, "..", "namesrv", "kvConfig.json"),
        configStorePath: join(store, "..", "namesrv", "namesrv.properties"),
      },
    });
    const runner = new ServiceRunner({
      start: async () => {
        await service.start();
        print(banner(service.nameServer, service.address, store));
      },
      stop: () => service.stop(),
    });
    await runner.run();
  },
});

function banner(nameServer: string, broker: string, store: string): string {
  return [
    "",
    "  mq serves",
    `    name server  ${nameServer}`,
    `    broker       ${broker}`,
    `    data         ${store}`,
    "",
    "  Type next, in another terminal:",
    "    dist/mq produce --topic hello 'first message'",
    "    dist/mq consume --topic hello --group me --from first",
    "",
    "  Ctrl-C stops it in good order.",
    "",
  ].join("\n");
}
