import { errorText } from "../lib/base/errors.ts";
import { type Broker, createBroker } from "../lib/broker/broker.ts";
import type { BrokerConfig } from "../lib/config/broker-config.ts";
import { defaultNamesrvConfig, type NamesrvConfig } from "../lib/config/namesrv-config.ts";
import type { Namesrv } from "../lib/namesrv/namesrv.ts";
import { formatAddress } from "../lib/remoting/address.ts";
import { createRemotingClient } from "../lib/remoting/client.ts";
import { RequestCode } from "../lib/remoting/codes.ts";
import { say } from "./out.ts";
import type { ReadyFile } from "./ready-file.ts";
import type { Service } from "./serve.ts";

const LOOPBACK = "127.0.0.1";
const EMBEDDED_PORT = 9876;
const ALL_INTERFACES = new Set(["0.0.0.0", "::", ""]);
const PROBE_TIMEOUT_MS = 1_000;

export interface BrokerServiceOptions {
  /** For the name server of its own. */
  namesrv?: Partial<NamesrvConfig>;
  readyFile?: ReadyFile;
  /** What the broker's file helper runs; this process's own entry unless it is another program, as in tests. */
  workerEntry?: string;
}

/** A broker, with a name server of its own where none is configured and none answers on this machine. */
export class BrokerService implements Service {
  /** Where clients find the route. */
  nameServer = "";
  private readonly broker: Broker;
  private namesrv: Namesrv | undefined;

  constructor(
    private readonly config: BrokerConfig,
    private readonly onFatal: (error: unknown) => void,
    private readonly options: BrokerServiceOptions = {},
  ) {
    const { bindAddress } = config;
    this.port = options.namesrv?.listenPort ?? EMBEDDED_PORT;
    this.embeds = config.namesrvAddr === "" && !config.fetchNamesrvAddrByAddressServer;
    // The embedded name server is as far to be seen as the broker.
    if (this.embeds)
      config.namesrvAddr = formatAddress(ALL_INTERFACES.has(bindAddress) ? LOOPBACK : bindAddress, this.port);
    this.nameServer = config.namesrvAddr;
    this.broker = createBroker(config, { onFatal, workerEntry: options.workerEntry ?? Bun.main });
  }

  private readonly embeds: boolean;
  /** Of the embedded name server. */
  private readonly port: number;
  private stopping = false;

  /** What clients are told. */
  get address(): string {
    return this.broker.brokerAddress;
  }

  async start(): Promise<void> {
    const { brokerName, storePathRootDir } = this.config;
    say(`broker ${brokerName} starts on the store ${storePathRootDir}`);
    if (this.embeds) await this.embedNameServer();
    try {
      await this.broker.start();
    } catch (error) {
      await this.namesrv?.stop();
      throw error;
    }
    say(`broker ${this.config.brokerName} serves on ${this.config.bindAddress}:${this.broker.listenPort}`);
    this.broker.registered
      .then(() => this.ready())
      .catch((error: unknown) => say(`broker ${this.config.brokerName} is not ready: ${errorText(error)}`));
  }

  private ready(): void {
    if (this.stopping) return;
    const { brokerName } = this.config;
    const nameServer = this.nameServer || "the address server's list";
    this.options.readyFile?.write({ broker: this.address, brokerName, nameServer });
    say(`broker ${brokerName} is ready: registered as ${this.address} with ${nameServer}`);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.options.readyFile?.remove();
    await this.broker.stop();
    await this.namesrv?.stop();
  }

  private async embedNameServer(): Promise<void> {
    if (await nameServerAnswers(this.nameServer)) {
      say(`no name server configured: using the one that answers on ${this.nameServer}`);
      return;
    }
    const { createNamesrv } = await import("../lib/namesrv/namesrv.ts");
    const { bindAddress } = this.config;
    const config = defaultNamesrvConfig({ bindAddress, ...this.options.namesrv, listenPort: this.port });
    this.namesrv = createNamesrv(config, { onFatal: this.onFatal });
    await this.namesrv.start();
    say(`no name server configured: one runs in this process on ${formatAddress(bindAddress, this.port)}`);
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
