import type { BatchItem } from "../../message/batch.ts";
import type { MessageInner } from "../../message/message-inner.ts";

/** What all items of a batch take from its request. */
export function copyHead(from: MessageInner, to: MessageInner): void {
  to.topic = from.topic;
  to.queueId = from.queueId;
  to.sysFlag = from.sysFlag;
  to.bornTimestamp = from.bornTimestamp;
  to.bornHost = from.bornHost;
  to.storeHost = from.storeHost;
  to.reconsumeTimes = from.reconsumeTimes;
  to.body = from.body;
  to.properties = from.body;
}

/** What an item has of its own. */
export function copyItem(item: BatchItem, to: MessageInner): void {
  to.flag = item.flag;
  to.bodyStart = item.bodyStart;
  to.bodyEnd = item.bodyEnd;
  to.propertiesStart = item.propertiesStart;
  to.propertiesEnd = item.propertiesEnd;
}
