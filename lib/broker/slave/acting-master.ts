import * as v from "valibot";
import { errorText } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { integer, mapOf, parseBody, text } from "../../protocol/body/tolerant.ts";
import { parseAddress } from "../../remoting/address.ts";
import { createRemotingClient } from "../../remoting/client.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { RemotingClient } from "../../remoting/types.ts";
import { MASTER_ID } from "../types.ts";

const TIMEOUT_MS = 3_000;
const MEMBERS_TIMEOUT_MS = 1_000;
/** Looks at the name servers in a row that do not find the member of the smallest id, before it counts as gone. */
const MISSED_MAX = 3;
/** Between two attempts to come online [BrokerPreOnlineService#run]. */
const PRE_ONLINE_RETRY_MS = 1_000;
/** How long one attempt waits for the HA connection; the next one begins anew. */
const HANDSHAKE_MS = 5_000;
const HANDSHAKE_LOOK_MS = 20;

const memberGroupSchema = v.object({ brokerMemberGroup: v.nullish(v.object({ brokerAddrs: mapOf(text) })) });

export interface ActingMasterSettings {
  readonly brokerClusterName: string;
  readonly brokerName: string;
  readonly brokerId: number;
  /** ms */
  readonly brokerHeartbeatInterval: number;
  /** ms */
  readonly sendHeartbeatTimeoutMillis: number;
  /** ms */
  readonly syncBrokerMemberGroupPeriod: number;
  readonly totalReplicas: number;
  readonly skipPreOnline: boolean;
}

/** What the role of the moment changes; filled in by `broker.ts`. */
export interface ActingMasterHooks {
  readonly nameServers: () => readonly string[];
  readonly brokerAddress: () => string;
  readonly haServerAddress: () => string;
  /** End of the log when it was opened. */
  readonly brokerInitMaxOffset: () => number;
  /** This broker does now, or no longer, what one broker of the group does for all. */
  readonly onSpecialService: (on: boolean) => void;
  /** The broker may be registered from now on. */
  readonly onOnline: () => void;
  /** The master is gone: no one is to be followed. */
  readonly onMasterOffline: () => void;
  /** A master is there: whom to follow. */
  readonly onMasterOnline: (masterAddr: string, haServerAddr: string | undefined) => void;
  /** A slave's HA connection from this host stands and is in step (on a slave: the connection to its master). */
  readonly haConnected: (host: string) => boolean;
  /** Brokers of the group that a name server sees, this one included. */
  readonly onMembers: (count: number) => void;
  /** Takes over what a slave collected while it acted [BrokerPreOnlineService#syncMetadataReverse]. Throws when it cannot be asked. */
  readonly syncMetadataReverse: (address: string) => Promise<void>;
}

/**
 * Who acts as master of this broker's group: the member with the smallest id that the name servers know
 * [BrokerController#updateMinBroker, BrokerPreOnlineService]. With `enableSlaveActingMaster` only.
 */
export class ActingMaster {
  /** Not registered yet: the rest of the group is caught up with first. */
  isolated: boolean;
  minBrokerId = MASTER_ID;
  minBrokerAddr: string | undefined;

  readonly #client: RemotingClient = createRemotingClient();
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #asking = false;
  #missed = 0;
  #stopped = false;
  #telling = true;
  #preOnline: Promise<void> = Promise.resolve();

  constructor(
    private readonly settings: ActingMasterSettings,
    private readonly hooks: ActingMasterHooks,
    private readonly logger: Logger,
  ) {
    this.isolated = settings.totalReplicas > 1 && !settings.skipPreOnline;
  }

  /** This broker is the one of the smallest id. */
  get acting(): boolean {
    return !this.isolated && this.minBrokerId === this.settings.brokerId && this.settings.brokerId !== MASTER_ID;
  }

  start(): void {
    const { brokerHeartbeatInterval, syncBrokerMemberGroupPeriod } = this.settings;
    this.#timers.push(
      setInterval(() => this.#heartbeat(), Math.max(100, brokerHeartbeatInterval)),
      setInterval(() => void this.#syncMemberGroup(), Math.max(100, syncBrokerMemberGroupPeriod)),
    );
    if (this.isolated) this.#preOnline = this.#comeOnline();
  }

  async shutdown(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#client.close();
    await this.#preOnline;
  }

  /** The group's smallest id is another one, as a name server says (code 905) or its member list does. */
  updateMinBroker(
    minBrokerId: number,
    minBrokerAddr: string | undefined,
    offline?: string,
    haServerAddr?: string,
  ): void {
    if (this.#stopped || this.isolated || this.settings.brokerId === MASTER_ID) return;
    if (minBrokerId === this.minBrokerId) return;
    const left = offline ?? (minBrokerId > this.minBrokerId ? this.minBrokerAddr : undefined);
    this.logger.info("smallest broker id of the group changed", {
      old: this.minBrokerId,
      new: minBrokerId,
      address: minBrokerAddr,
    });
    const wasMaster = this.minBrokerId === MASTER_ID;
    this.minBrokerId = minBrokerId;
    this.minBrokerAddr = minBrokerAddr;
    this.hooks.onSpecialService(this.acting);
    if (wasMaster || left !== undefined) this.hooks.onMasterOffline();
    if (minBrokerId === MASTER_ID && minBrokerAddr !== undefined) void this.#follow(minBrokerAddr, haServerAddr);
  }

  async #follow(master: string, haServerAddr: string | undefined): Promise<void> {
    let ha = haServerAddr;
    try {
      ha ??= await this.#masterHaAddress(master);
    } catch (error) {
      this.logger.warn("master does not say its HA address: it comes with the next registration", {
        master,
        error: errorText(error),
      });
    }
    if (!this.#stopped && this.minBrokerId === MASTER_ID) this.hooks.onMasterOnline(master, ha);
  }

  #heartbeat(): void {
    if (this.isolated) return;
    const { brokerClusterName: clusterName, brokerName, brokerId, sendHeartbeatTimeoutMillis } = this.settings;
    const ext = { clusterName, brokerName, brokerId, brokerAddr: this.hooks.brokerAddress() };
    for (const address of this.hooks.nameServers())
      this.#client
        .invokeOneway(address, { code: RequestCode.BROKER_HEARTBEAT, ext }, sendHeartbeatTimeoutMillis)
        // Registration says that a name server is away.
        .catch(() => {});
  }

  async #syncMemberGroup(): Promise<void> {
    if (this.isolated || this.#asking) return;
    this.#asking = true;
    try {
      const members = await this.#memberGroup();
      if (members.size === 0 || this.#stopped) return;
      this.hooks.onMembers(members.has(this.settings.brokerId) ? members.size : members.size + 1);
      const min = Math.min(...members.keys());
      // A name server that was started anew knows the members one after the other: no reason to act.
      this.#missed = min > this.minBrokerId ? this.#missed + 1 : 0;
      if (this.#missed > 0 && this.#missed < MISSED_MAX) return;
      this.#missed = 0;
      this.updateMinBroker(min, members.get(min));
    } catch {
      // No name server answers: the role stays what it is, registration says so.
    } finally {
      this.#asking = false;
    }
  }

  /** All members that any name server knows. Throws when none answers. */
  async #memberGroup(): Promise<Map<number, string>> {
    const { brokerClusterName: clusterName, brokerName } = this.settings;
    const request = { code: RequestCode.GET_BROKER_MEMBER_GROUP, ext: { clusterName, brokerName } };
    const answers = await Promise.allSettled(
      this.hooks.nameServers().map(async (address) => {
        const response = await this.#client.invoke(address, request, MEMBERS_TIMEOUT_MS);
        if (response.code !== ResponseCode.SUCCESS) throw new Error(`${address} answers ${response.code}`);
        return parseBody(memberGroupSchema, response.body, "the members of a group").brokerMemberGroup?.brokerAddrs;
      }),
    );
    const members = new Map<number, string>();
    let answered = false;
    for (const answer of answers) {
      if (answer.status === "rejected") continue;
      answered = true;
      for (const [id, address] of answer.value ?? []) members.set(v.parse(integer, id), address);
    }
    if (answered) return members;
    const failure = answers.find((answer) => answer.status === "rejected");
    throw failure?.status === "rejected" ? failure.reason : new Error("no name server is known");
  }

  async #masterHaAddress(master: string): Promise<string | undefined> {
    const response = await this.#client.invoke(master, { code: RequestCode.EXCHANGE_BROKER_HA_INFO }, TIMEOUT_MS);
    if (response.code !== ResponseCode.SUCCESS) throw new Error(`code ${response.code}: ${response.remark ?? ""}`);
    return response.ext.masterHaAddress;
  }

  async #comeOnline(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#prepare();
        if (!this.#stopped) this.#goOnline();
        return;
      } catch (error) {
        if (this.#stopped) return;
        if (this.#telling)
          this.logger.warn("broker waits before it registers: its group is not caught up with", {
            reason: errorText(error),
          });
        this.#telling = false;
      }
      await Bun.sleep(PRE_ONLINE_RETRY_MS);
    }
  }

  /** Resolves when this broker may register. */
  async #prepare(): Promise<void> {
    const { brokerId } = this.settings;
    const members = await this.#memberGroup();
    members.delete(brokerId);
    if (brokerId === MASTER_ID) {
      for (const [, address] of [...members].sort(([a], [b]) => a - b)) await this.#catchUpWith(address);
      this.minBrokerId = MASTER_ID;
      return;
    }
    const min = members.size === 0 ? brokerId : Math.min(...members.keys());
    const master = members.get(MASTER_ID);
    if (master !== undefined) {
      const ha = await this.#masterHaAddress(master);
      this.hooks.onMasterOnline(master, ha);
      if (ha !== undefined) await this.#connected(parseAddress(ha).hostname);
    }
    this.minBrokerId = Math.min(min, brokerId);
    this.minBrokerAddr = members.get(min) ?? this.hooks.brokerAddress();
  }

  /** A master that comes back: its slave follows it again, and hands over what it collected. */
  async #catchUpWith(address: string): Promise<void> {
    const { brokerAddress, brokerInitMaxOffset, haServerAddress, syncMetadataReverse } = this.hooks;
    const ext = {
      masterHaAddress: haServerAddress(),
      masterFlushOffset: brokerInitMaxOffset(),
      masterAddress: brokerAddress(),
    };
    const response = await this.#client.invoke(address, { code: RequestCode.EXCHANGE_BROKER_HA_INFO, ext }, TIMEOUT_MS);
    if (response.code !== ResponseCode.SUCCESS) throw new Error(`code ${response.code}: ${response.remark ?? ""}`);
    await this.#connected(parseAddress(address).hostname);
    await syncMetadataReverse(address);
  }

  async #connected(host: string): Promise<void> {
    const end = performance.now() + HANDSHAKE_MS;
    while (!this.hooks.haConnected(host)) {
      if (this.#stopped) return;
      if (performance.now() > end) throw new Error(`no HA connection with ${host} in ${HANDSHAKE_MS} ms`);
      await Bun.sleep(HANDSHAKE_LOOK_MS);
    }
  }

  #goOnline(): void {
    this.isolated = false;
    if (!this.#telling) this.logger.info("broker registers: its group is caught up with");
    this.hooks.onSpecialService(this.minBrokerId === this.settings.brokerId);
    this.hooks.onOnline();
  }
}
