import { ExitCode, MqError } from "../base/errors.ts";
import { ResponseCode } from "../remoting/codes.ts";

/** A broker or name server answered, and refused. */
export class BrokerError extends MqError {
  readonly code: number;
  readonly remark: string;
  readonly address: string;

  constructor(action: string, address: string, code: number, remark: string | undefined) {
    const text = remark === undefined || remark === "" ? "no remark" : remark;
    const hint = HINTS[code];
    super(
      `${action}: ${address} refused with ${responseCodeName(code)} (${code}): ${text}${hint === undefined ? "" : `; ${hint}`}`,
      ExitCode.failure,
    );
    this.code = code;
    this.remark = text;
    this.address = address;
  }
}

/** The client itself cannot do what was asked: no route, no broker, no time left. */
export class ClientError extends MqError {}

const NAMES = new Map<number, string>(Object.entries(ResponseCode).map(([name, code]) => [code, name]));

/** `TOPIC_NOT_EXIST` for 17; the number for one nobody knows. */
export function responseCodeName(code: number): string {
  return NAMES.get(code) ?? `code ${code}`;
}

/** What the reader can do about it. */
const HINTS: Record<number, string> = {
  [ResponseCode.SYSTEM_BUSY]: "the broker is overloaded: send slower, or try again in a moment",
  [ResponseCode.SERVICE_NOT_AVAILABLE]: "the broker takes no messages now: look at its disk, role and log",
  [ResponseCode.NO_PERMISSION]:
    "look at the permission of the topic, the group and the broker; where it asks for signed requests, set MQ_ACCESS_KEY and MQ_SECRET_KEY",
  [ResponseCode.TOPIC_NOT_EXIST]: "create it with: mq topic create --topic NAME --cluster NAME",
  [ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST]:
    "create the group, or set autoCreateSubscriptionGroup=true on the broker",
  [ResponseCode.SUBSCRIPTION_NOT_EXIST]: "the broker has not seen this consumer's heartbeat yet",
  [ResponseCode.SUBSCRIPTION_NOT_LATEST]:
    "the broker has an older subscription of this group; it follows with the next heartbeat",
};
