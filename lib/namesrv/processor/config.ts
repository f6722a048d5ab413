import { existsSync, readFileSync } from "node:fs";
import * as v from "valibot";
import { writeFileAtomic } from "../../base/atomic-file.ts";
import { nearest } from "../../base/suggest.ts";
import { namesrvConfigKeys } from "../../config/namesrv-config.ts";
import { configToProperties } from "../../config/print-config.ts";
import {
  decodeProperties,
  PropertiesError,
  type Property,
  parseProperties,
  updatePropertiesBytes,
} from "../../config/properties.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import { ResponseError } from "../../remoting/response-error.ts";
import type { RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { NamesrvContext } from "../namesrv-context.ts";

/** Never changed over the network, whatever configBlackList says: each is a path or guards one [DefaultRequestProcessor]. */
const BLACK_LIST = ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];

/** What may change while the name server runs: each is read when it is needed. */
const CHANGEABLE = new Set([
  "orderMessageEnable",
  "returnOrderTopicConfigToBroker",
  "supportActingMaster",
  "notifyMinBrokerIdChanged",
  "enableAllTopicList",
  "enableTopicList",
  "needWaitForService",
  "waitSecondsForService",
  "deleteTopicWithBrokerRegistration",
]);

/** GET_NAMESRV_CONFIG */
export function getNamesrvConfig({ config }: NamesrvContext): RemotingResponse {
  return { code: ResponseCode.SUCCESS, body: configToProperties(namesrvConfigKeys, config) };
}

/** UPDATE_NAMESRV_CONFIG: all or nothing, in memory and in the file that the configuration came from, whose comments stay. */
export async function updateNamesrvConfig(
  { config, topicRoutes, logger }: NamesrvContext,
  { body }: RemotingCommand,
  peer: string,
): Promise<RemotingResponse> {
  const properties = readProperties(body);
  const blackList = new Set([...BLACK_LIST, ...config.configBlackList.split(";").map((name) => name.trim())]);
  if (properties.some(({ key }) => blackList.has(key)))
    return { code: ResponseCode.NO_PERMISSION, remark: "Can not update config in black list." };
  const values: Record<string, unknown> = {};
  const changes = new Map<string, string>();
  for (const property of properties) {
    values[property.key] = checkedValue(property);
    changes.set(property.key, property.value.trim());
  }
  await writeChanges(config.configStorePath, changes);
  Object.assign(config, values);
  topicRoutes.changed();
  logger.info("configuration changed", { keys: [...changes.keys()].join(","), peer });
  return { code: ResponseCode.SUCCESS };
}

function readProperties(body: Buffer | undefined): Property[] {
  if (body === undefined) return [];
  try {
    return parseProperties(decodeProperties(body));
  } catch (error) {
    if (!(error instanceof PropertiesError)) throw error;
    throw refusal(`string2Properties error: line ${error.line}: ${error.message}`);
  }
}

function checkedValue({ key: name, value }: Property): unknown {
  const keys: Record<string, (typeof namesrvConfigKeys)[keyof typeof namesrvConfigKeys]> = namesrvConfigKeys;
  const key = Object.hasOwn(keys, name) ? keys[name] : undefined;
  if (key === undefined) {
    const close = nearest(name, Object.keys(keys));
    throw refusal(`update config: unknown key ${name}${close === undefined ? "" : `; did you mean ${close}?`}`);
  }
  if (!CHANGEABLE.has(name)) {
    const remark = `update config: ${name} is read at the start only; change it in the file and start again`;
    throw new ResponseError(ResponseCode.NO_PERMISSION, remark);
  }
  const parsed = v.safeParse<v.GenericSchema<string, unknown>>(key.schema, value.trim());
  if (!parsed.success) throw refusal(`update config: ${name}=${value}: want ${key.allowed}`);
  return parsed.output;
}

function refusal(remark: string): ResponseError {
  return new ResponseError(ResponseCode.SYSTEM_ERROR, remark);
}

let lastWrite: Promise<void> = Promise.resolve();

/** One write at a time. */
function writeChanges(path: string, changes: ReadonlyMap<string, string>): Promise<void> {
  if (changes.size === 0) return Promise.resolve();
  lastWrite = lastWrite
    .catch(() => {})
    .then(() => {
      const bytes = existsSync(path) ? readFileSync(path) : new Uint8Array(0);
      return writeFileAtomic(path, updatePropertiesBytes(bytes, changes), { keepPrevious: true });
    });
  return lastWrite;
}
