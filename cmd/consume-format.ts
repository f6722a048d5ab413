import type { MessageExt } from "../lib/client/message.ts";

export const CONSUME_FORMATS = ["text", "json", "body"] as const;
export type ConsumeFormat = (typeof CONSUME_FORMATS)[number];

/** Properties that clients and brokers put there themselves; no format shows them among the user's. */
const SYSTEM_PROPERTIES = new Set([
  "KEYS",
  "TAGS",
  "UNIQ_KEY",
  "WAIT",
  "MIN_OFFSET",
  "MAX_OFFSET",
  "MSG_REGION",
  "TRACE_ON",
  "CLUSTER",
]);

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Text of the body, or undefined when it is no UTF-8. */
function bodyText(body: Buffer): string | undefined {
  try {
    return utf8.decode(body);
  } catch {
    return undefined;
  }
}

/** What one message looks like, with the line's end. */
export function formatMessage(message: MessageExt, format: ConsumeFormat, forTerminal: boolean): string | Uint8Array {
  if (format === "body") return Buffer.concat([message.body, NEWLINE]);
  if (format === "json") return `${JSON.stringify(jsonMessage(message))}\n`;
  return `${textMessage(message, forTerminal)}\n`;
}

const NEWLINE = Buffer.from("\n");

function jsonMessage(message: MessageExt): Record<string, unknown> {
  const text = bodyText(message.body);
  return {
    topic: message.topic,
    brokerName: message.brokerName,
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    msgId: message.msgId,
    offsetMsgId: message.offsetMsgId,
    tags: message.tags,
    keys: message.keys?.split(" "),
    properties: Object.fromEntries(userProperties(message)),
    reconsumeTimes: message.reconsumeTimes,
    bornTimestamp: message.bornTimestamp,
    bornHost: message.bornHost,
    storeTimestamp: message.storeTimestamp,
    storeHost: message.storeHost,
    ...(text === undefined ? { bodyBase64: message.body.toString("base64") } : { body: text }),
  };
}

function userProperties(message: MessageExt): [string, string][] {
  return Object.entries(message.properties).filter(([name]) => !SYSTEM_PROPERTIES.has(name));
}

/** `broker-a:0@12 tags=x keys=y name=value | body`; on a terminal control characters are shown, not obeyed. */
function textMessage(message: MessageExt, forTerminal: boolean): string {
  const parts = [`${message.brokerName}:${message.queueId}@${message.queueOffset}`];
  if (message.tags !== undefined) parts.push(`tags=${message.tags}`);
  if (message.keys !== undefined) parts.push(`keys=${message.keys.replaceAll(" ", ",")}`);
  if (message.reconsumeTimes > 0) parts.push(`retries=${message.reconsumeTimes}`);
  for (const [name, value] of userProperties(message)) parts.push(`${name}=${value}`);
  const body = bodyText(message.body) ?? `base64:${message.body.toString("base64")}`;
  const line = `${parts.join(" ")} | ${body}`;
  return forTerminal ? line.replace(CONTROL, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`) : line;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
