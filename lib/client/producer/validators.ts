import { ClientError } from "../broker-error.ts";
import type { Message } from "../message.ts";

const NAME = /^[%|a-zA-Z0-9_-]+$/;
const TOPIC_LENGTH_MAX = 127;
const GROUP_LENGTH_MAX = 120;
/** Bytes that separate properties on the wire; a name or value that holds one would break the message apart. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these control characters are the separators
const SEPARATORS = /[\x01\x02]/;

/** [Validators#checkTopic] */
export function checkTopic(topic: string): void {
  checkName("topic", topic, TOPIC_LENGTH_MAX);
}

/** [Validators#checkGroup] */
export function checkGroup(group: string): void {
  checkName("group", group, GROUP_LENGTH_MAX);
}

function checkName(what: string, name: string, lengthMax: number): void {
  if (name === "") throw new ClientError(`check the ${what}: found an empty name`);
  if (name.length > lengthMax) {
    throw new ClientError(`check the ${what}: "${name}" has ${name.length} characters, want ${lengthMax} at most`);
  }
  if (!NAME.test(name)) throw new ClientError(`check the ${what}: found "${name}", want only letters, digits and %|_-`);
}

/** [Validators#checkMessage] */
export function checkMessage(message: Message, maxMessageSize: number): void {
  checkTopic(message.topic);
  if (message.body.length === 0)
    throw new ClientError(`send to topic "${message.topic}": the body is empty, want one byte or more`);
  if (message.body.length > maxMessageSize) {
    throw new ClientError(
      `send to topic "${message.topic}": the body has ${message.body.length} bytes, want ${maxMessageSize} at most`,
    );
  }
  for (const name in message.properties) {
    if (name === "" || SEPARATORS.test(name) || SEPARATORS.test(message.properties[name] ?? "")) {
      throw new ClientError(`send to topic "${message.topic}": property "${name}" is empty or holds a byte 1 or 2`);
    }
  }
}
