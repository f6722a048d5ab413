import { javaHashCodeBytes } from "../base/java.ts";
import type { MessageInner } from "./message-inner.ts";
import { PropertySlot, PropertySlots } from "./properties.ts";

const slots = new PropertySlots();

/**
 * Sets what the store needs from the message's own properties: tagsCode (Java's hashCode of TAGS), the ranges of UNIQ_KEY and
 * KEYS, waitStoreMsgOk and delayLevel. Returns the slots, valid until the next call, for what else the caller wants to know.
 * The schedule topic's tagsCode (a deliver time) is its caller's business.
 */
export function fillFromProperties(message: MessageInner): PropertySlots {
  slots.scan(message.properties, message.propertiesStart, message.propertiesEnd);
  const { start, end } = slots;
  const tags = start[PropertySlot.TAGS]!;
  message.tagsCode = tags < 0 ? 0 : javaHashCodeBytes(message.properties, tags, end[PropertySlot.TAGS]!);
  message.uniqKeyStart = start[PropertySlot.UNIQ_KEY]!;
  message.uniqKeyEnd = end[PropertySlot.UNIQ_KEY]!;
  message.keysStart = start[PropertySlot.KEYS]!;
  message.keysEnd = end[PropertySlot.KEYS]!;
  message.waitStoreMsgOk = slots.bool(PropertySlot.WAIT, true);
  message.delayLevel = Math.max(0, slots.int(PropertySlot.DELAY, 0));
  return slots;
}

/** Sets `properties` to one's own bytes and fills the rest from them. */
export function setProperties(message: MessageInner, bytes: Buffer): PropertySlots {
  message.properties = bytes;
  message.propertiesStart = 0;
  message.propertiesEnd = bytes.length;
  return fillFromProperties(message);
}
