/**
 * What a file may ask for and this version does not have, where to go on without it would be less safe, or would store or deliver
 * something else, than the file says. Such a key stops the start; it is never ignored.
 */
export interface Refusal {
  key: string;
  /** The values that stop the start. */
  refuses: (value: unknown) => boolean;
  why: string;
}

const isTrue = (value: unknown): boolean => value === true;
const isSet = (value: unknown): boolean => value !== "";
const not =
  (allowed: string) =>
  (value: unknown): boolean =>
    value !== allowed;

const NOBODY_CHECKED =
  "this version checks no access and must not run open where the file wants it closed: remove the key";

const SECURITY: readonly Refusal[] = [
  { key: "aclEnable", refuses: isTrue, why: NOBODY_CHECKED },
  { key: "authenticationEnabled", refuses: isTrue, why: NOBODY_CHECKED },
  { key: "authorizationEnabled", refuses: isTrue, why: NOBODY_CHECKED },
  { key: "migrateAuthFromV1Enabled", refuses: isTrue, why: NOBODY_CHECKED },
  ...[
    "authConfigPath",
    "authenticationProvider",
    "authenticationMetadataProvider",
    "authenticationStrategy",
    "authenticationWhitelist",
    "initAuthenticationUser",
    "innerClientAuthenticationCredentials",
    "authorizationProvider",
    "authorizationMetadataProvider",
    "authorizationStrategy",
    "authorizationWhitelist",
  ].map((key) => ({ key, refuses: isSet, why: NOBODY_CHECKED })),
  { key: "useTLS", refuses: isTrue, why: "this version has no TLS: remove the key" },
];

/** For a broker's file. */
export const BROKER_REFUSALS: readonly Refusal[] = [
  ...SECURITY,
  { key: "enablePropertyFilter", refuses: isTrue, why: "this version has no SQL92 filter: want false" },
  { key: "enableDLegerCommitLog", refuses: isTrue, why: "this version has no DLedger: want false" },
  { key: "enableControllerMode", refuses: isTrue, why: "this version has no controller mode: want false" },
  {
    key: "duplicationEnable",
    refuses: isTrue,
    why: "this version replicates by brokerRole and has no confirm offset set from outside: want false",
  },
  { key: "storeType", refuses: not("default"), why: "this version has the file store only: want default" },
  { key: "configManagerVersion", refuses: not("v1"), why: "this version keeps its tables in JSON files: want v1" },
  { key: "messageStorePlugIn", refuses: isSet, why: "Java classes cannot be loaded: remove the key" },
  {
    key: "readOnlyCommitLogStorePaths",
    refuses: isSet,
    why: "this version has no read-only commit log: remove the key",
  },
  { key: "enableLmq", refuses: isTrue, why: "this version has no light message queues: want false" },
  { key: "enableMultiDispatch", refuses: isTrue, why: "this version dispatches to one queue: want false" },
  { key: "inBrokerContainer", refuses: isTrue, why: "mq runs one broker a process: want false" },
];

/** For a name server's file. */
export const NAMESRV_REFUSALS: readonly Refusal[] = [
  ...SECURITY,
  { key: "enableControllerInNamesrv", refuses: isTrue, why: "this version has no controller: want false" },
  { key: "clusterTest", refuses: isTrue, why: "this version asks no other environment for routes: want false" },
];

/** Keys of TLS and the like that RocketMQ takes as system properties: in a file they show what somebody believes to be on. */
export function refusesUnknown(key: string, value: string): string | undefined {
  if (!/^(rocketmq\.)?tls\./i.test(key)) return undefined;
  if (/^(disabled|false)$/i.test(value) && /(mode|enable)$/.test(key)) return undefined;
  return "this version has no TLS: remove the key";
}

/** Why a broker's configuration that came from no file cannot be honoured; undefined when it can. */
export function brokerRefusal(config: Readonly<Record<string, unknown>>): string | undefined {
  const refusal = BROKER_REFUSALS.find(({ key, refuses }) => config[key] !== undefined && refuses(config[key]));
  return refusal === undefined ? undefined : `${refusal.key}=${config[refusal.key]}: ${refusal.why}`;
}
