import { readFileSync } from "node:fs";
import * as v from "valibot";
import { writeFileAtomic } from "../../base/atomic-file.ts";
import { errorText } from "../../base/errors.ts";
import { stringifyFastjson } from "../../base/fastjson.ts";
import { nearest } from "../../base/suggest.ts";
import { brokerConfigKeys } from "../../config/broker-config.ts";
import type { Key, Keys } from "../../config/key.ts";
import { configToProperties } from "../../config/print-config.ts";
import { decodeProperties, parseProperties, updatePropertiesBytes } from "../../config/properties.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { newDataVersion, nextVersion } from "../config-schema.ts";
import { refusal, success } from "./admin-request.ts";
import { BLACK_LIST, RUNTIME_KEYS } from "./runtime-keys.ts";

/** GET_BROKER_CONFIG and UPDATE_BROKER_CONFIG: what runs, and the few keys that may change while it runs [AdminBrokerProcessor]. */
export function adminConfigProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, logger, topics } = context;
  const dataVersion = newDataVersion();
  let writing: Promise<void> = Promise.resolve();

  function getBrokerConfig(): RemotingResponse {
    return {
      code: ResponseCode.SUCCESS,
      body: configToProperties(brokerConfigKeys, config),
      ext: { version: stringifyFastjson(dataVersion) },
    };
  }

  async function updateBrokerConfig(request: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    const changes = readChanges(request.body ?? Buffer.alloc(0));
    if (changes.size === 0) return success();
    const blackList = new Set([...config.configBlackList.split(";"), ...BLACK_LIST]);
    // All or nothing: every key is looked at before the first is set.
    const values = new Map<string, unknown>();
    for (const [name, text] of changes) values.set(name, checkedValue(name, text, blackList));
    // Before the first await: two requests are applied in the order they came.
    const live: Record<string, unknown> = config;
    for (const [name, value] of values) {
      logger.warn("configuration changed", {
        key: name,
        from: String(live[name]),
        to: String(value),
        caller: connection.remoteAddress,
      });
      live[name] = value;
    }
    nextVersion(dataVersion);
    if (values.has("brokerPermission")) {
      nextVersion(topics.dataVersion);
      context.registerBroker();
    }
    return await keepInFile(changes);
  }

  /** Writes the keys into the file that the broker was started with: its other lines stay as they are. */
  async function keepInFile(changes: ReadonlyMap<string, string>): Promise<RemotingResponse> {
    const path = config.brokerConfigPath;
    const response = success();
    if (path === "") {
      response.remark = "in use until the broker stops: it was started without a configuration file";
      return response;
    }
    const done = writing.then(async () => {
      await writeFileAtomic(path, updatePropertiesBytes(readFileSync(path), changes), { keepPrevious: true });
    });
    writing = done.catch(() => {});
    try {
      await done;
    } catch (error) {
      logger.error("configuration file cannot be written", { path, reason: errorText(error) });
      throw refusal(
        ResponseCode.SYSTEM_ERROR,
        `the change is in use, but ${path} could not be written: it is lost at the next start (${errorText(error)})`,
      );
    }
    return response;
  }

  return [
    [RequestCode.GET_BROKER_CONFIG, { processor: getBrokerConfig }],
    [RequestCode.UPDATE_BROKER_CONFIG, { processor: updateBrokerConfig }],
  ];
}

function readChanges(body: Uint8Array): Map<string, string> {
  try {
    return new Map(parseProperties(decodeProperties(body)).map(({ key, value }) => [key, value.trim()]));
  } catch (error) {
    throw refusal(ResponseCode.SYSTEM_ERROR, `string2Properties error: ${errorText(error)}`);
  }
}

/** Throws ResponseError for a key that may not change or a value that is not allowed, with the reason. */
function checkedValue(name: string, text: string, blackList: ReadonlySet<string>): unknown {
  if (blackList.has(name))
    throw refusal(ResponseCode.NO_PERMISSION, `Can not update config in black list: ${name} is in it.`);
  const keys: Keys = brokerConfigKeys;
  const key: Key<unknown> | undefined = Object.hasOwn(keys, name) ? keys[name] : undefined;
  if (key === undefined) {
    const close = nearest(name, Object.keys(keys));
    throw refusal(
      ResponseCode.SYSTEM_ERROR,
      `${name} is no key of a broker${close === undefined ? "" : `; did you mean ${close}?`}`,
    );
  }
  if (!RUNTIME_KEYS.has(name)) {
    const why = key.unused
      ? "this broker makes no use of it"
      : "it is read at the start only: set it in the file and restart";
    throw refusal(ResponseCode.NO_PERMISSION, `${name} can not be changed while the broker runs: ${why}`);
  }
  const parsed = v.safeParse(key.schema, text);
  if (!parsed.success) throw refusal(ResponseCode.SYSTEM_ERROR, `${name}=${text}: want ${key.allowed}`);
  return parsed.output;
}
