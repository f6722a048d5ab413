import { defineCommand } from "citty";
import { loadNamesrvConfig, namesrvConfigKeys } from "../lib/config/namesrv-config.ts";
import { createNamesrv } from "../lib/namesrv/namesrv.ts";
import { say } from "./out.ts";
import { endsAfterConfig } from "./print-config.ts";
import { ReadyFile } from "./ready-file.ts";
import { ServiceRunner } from "./serve.ts";
import { serverArgs, setOverrides } from "./server-flags.ts";

export const namesrvCommand = defineCommand({
  meta: {
    name: "namesrv",
    description: "Runs a name server: brokers register with it, clients ask it where topics are.",
  },
  args: serverArgs,
  async run({ args, rawArgs }) {
    const loaded = loadNamesrvConfig({
      file: args.configFile,
      overrides: setOverrides(rawArgs),
      lenient: args.lenient,
    });
    if (endsAfterConfig(namesrvConfigKeys, loaded, args)) return;
    const namesrv = createNamesrv(loaded.config, { onFatal: (error) => runner.fatal(error) });
    const readyFile = new ReadyFile(args["ready-file"]);
    const runner = new ServiceRunner({
      start: async () => {
        await namesrv.start();
        readyFile.write({ bindAddress: loaded.config.bindAddress, port: namesrv.port });
        say(`name server listens on ${loaded.config.bindAddress}:${namesrv.port}`);
      },
      stop: () => {
        readyFile.remove();
        return namesrv.stop();
      },
    });
    await runner.run();
  },
});
