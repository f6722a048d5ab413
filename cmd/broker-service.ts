import { errorText } from "../lib/base/errors.ts";
import { type Broker, createBroker } from "../lib/broker/broker.ts";
import type { BrokerConfig } from "../lib/config/broker-config.ts";
import { defaultNamesrvConfig } from "../lib/config/namesrv-config.ts";
import type { Namesrv } from "../lib/namesrv/namesrv.ts";
import { createRemotingClient } from "../lib/remoting/client.ts";
import { RequestCode } from "../lib/remoting/codes.ts";
import { say } from "./out.ts";
import type { Service } from "./serve.ts";

const EMBEDDED_HOST = "127.0.0.1";
const EMBEDDED_PORT = 9876;
const PROBE_TIMEOUT_MS = 1_000;

/** A broker, with a name server of its own where none is configured and none answers on this machine. */
export class BrokerService implements Service {
  /** Where clients find the route. */
  nameServer = "";
  private readonly broker: Broker;
  private namesrv: Namesrv | undefined;

  constructor(
    private readonly config: BrokerConfig,
    onFatal: (error: unknown) => void,
  ) {
    const needsNameServer = config.namesrvAddr === "" && !config.fetchNamesrvAddrByAddressServer;
    if (needsNameServer) config.namesrvAddr = `${EMBEDDED_HOST}:${EMBEDDED_PORT}`;
    this.nameServer = config.namesrvAddr;
    this.embeds = needsNameServer;
    this.broker = createBroker(config, { onFatal, workerEntry: Bun.main });
  }

  private readonly embeds: boolean;

  /** What clients are told. */
  get address(): string {
    return this.broker.brokerAddress;
  }

  async start(): Promise<void> {
    if (this.embeds) await this.embedNameServer();
    try {
      await this.broker.start();
    } catch (error) {
      await this.namesrv?.stop();
      throw error;
    }
    say(`broker ${this.config.brokerName} serves on ${this.config.bindAddress}:${this.broker.listenPort}`);
    this.broker.registered.then(
      () =>
        say(
          `broker ${this.config.brokerName} is ready: registered as ${this.address} with ${this.nameServer || "the address server's list"}`,
        ),
      (error: unknown) => say(`broker is not registered: ${errorText(error)}`),
    );
  }

  async stop(): Promise<void> {
    await this.broker.stop();
    await this.namesrv?.stop();
  }

  private async embedNameServer(): Promise<void> {
    if (await nameServerAnswers(this.nameServer)) {
      say(`no name server configured: using the one that answers on ${this.nameServer}`);
      return;
    }
    const { createNamesrv } = await import("../lib/namesrv/namesrv.ts");
    this.namesrv = createNamesrv(defaultNamesrvConfig({ bindAddress: EMBEDDED_HOST, listenPort: EMBEDDED_PORT }));
    await this.namesrv.start();
    say(`no name server configured: one runs in this process on ${this.nameServer}`);
  }
}

async function nameServerAnswers(address: string): Promise<boolean> {
  const client = createRemotingClient();
  try {
    await client.invoke(address, { code: RequestCode.GET_BROKER_CLUSTER_INFO }, PROBE_TIMEOUT_MS);
    return true;
  } catch {
    return false;
  } finally {
    await client.close();
  }
}
