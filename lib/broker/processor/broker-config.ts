import { stringifyFastjson } from "../../base/fastjson.ts";
import { brokerConfigKeys } from "../../config/broker-config.ts";
import { configToProperties } from "../../config/print-config.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { ProcessorEntry, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";

/** Keys whose values are nobody else's business. */
const SECRET = /credential|password|secret|initAuthenticationUser/i;

/** GET_BROKER_CONFIG [AdminBrokerProcessor#getBrokerConfig]; nothing changes the configuration of a running broker. */
export function brokerConfigProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const version = stringifyFastjson({ counter: 0, stateVersion: 0, timestamp: Date.now() });

  function getBrokerConfig(): RemotingResponse {
    const shown = Object.fromEntries(Object.entries(brokerConfigKeys).filter(([name]) => !SECRET.test(name)));
    return { code: ResponseCode.SUCCESS, ext: { version }, body: configToProperties(shown, context.config) };
  }

  return [[RequestCode.GET_BROKER_CONFIG, { processor: getBrokerConfig }]];
}
