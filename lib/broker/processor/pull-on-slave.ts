import { ResponseCode } from "../../remoting/codes.ts";
import type { BrokerContext } from "../broker-context.ts";

/**
 * What a slave does with a pull that it has read [PullMessageProcessor#composeResponseHeader, DefaultPullMessageResultHandler]:
 * serve it as a master would, send the consumer to the master, which is up and has all that it looks for, or, the master being away,
 * have it wait with the offset it asked for, because this queue may only be behind.
 */
export function slaveTurn(
  context: Pick<BrokerContext, "config" | "masterAlive">,
  code: number,
  farBehind: boolean,
): "serve" | "master" | "wait" {
  if (context.masterAlive && !farBehind) return "master";
  const moved = code === ResponseCode.PULL_OFFSET_MOVED;
  return moved && !context.config.offsetCheckInSlave ? "wait" : "serve";
}
