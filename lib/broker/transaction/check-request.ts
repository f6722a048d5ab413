import { encodeRecord, storedPropertiesBytes } from "../../message/encode-record.ts";
import { setProperties } from "../../message/fill-from-properties.ts";
import { recordBytes, TOPIC_BYTES_MAX_V1 } from "../../message/layout.ts";
import { offsetMsgId } from "../../message/message-id.ts";
import { MessageInner } from "../../message/message-inner.ts";
import { PropertyName, propertiesToBytes } from "../../message/properties.ts";
import { RequestCode } from "../../remoting/codes.ts";
import type { RemotingRequest } from "../../remoting/types.ts";
import type { StoredMessage } from "../stored-message.ts";

/**
 * CHECK_TRANSACTION_STATE: asks a producer for the fate of a half message [AbstractTransactionalMessageCheckListener#sendCheckMessage].
 * The body is the message as a record under its real topic and queue.
 */
export function checkRequest(half: StoredMessage, storeHost: Buffer, brokerName: string): RemotingRequest {
  const uniqKey = half.properties[PropertyName.UNIQ_KEY];
  return {
    code: RequestCode.CHECK_TRANSACTION_STATE,
    ext: {
      topic: half.topic,
      tranStateTableOffset: half.queueOffset,
      commitLogOffset: half.physicalOffset,
      msgId: uniqKey,
      transactionId: uniqKey,
      offsetMsgId: offsetMsgId(storeHost, half.physicalOffset),
      bname: brokerName,
    },
    body: recordOf(half),
  };
}

function recordOf(half: StoredMessage): Buffer {
  const message = new MessageInner();
  message.topic = half.properties[PropertyName.REAL_TOPIC] ?? "";
  message.queueId = Number(half.properties[PropertyName.REAL_QID] ?? 0) | 0;
  message.flag = half.flag;
  message.sysFlag = half.sysFlag;
  message.bornTimestamp = half.bornTimestamp;
  message.bornHost = half.bornHost;
  message.storeHost = half.storeHost;
  message.reconsumeTimes = half.reconsumeTimes;
  message.body = half.body;
  message.bodyEnd = half.body.length;
  setProperties(message, propertiesToBytes(half.properties));
  const topic = Buffer.from(message.topic, "utf8");
  const v2 = topic.length > TOPIC_BYTES_MAX_V1;
  const propertiesBytes = storedPropertiesBytes(message, false);
  const hostBytes = message.bornHost.length + message.storeHost.length;
  const size = recordBytes(v2, hostBytes, message.bodyEnd, topic.length, propertiesBytes);
  const record = Buffer.alloc(size);
  const view = new DataView(record.buffer, record.byteOffset, size);
  encodeRecord(record, view, 0, message, topic, {
    size,
    v2,
    queueOffset: half.queueOffset,
    physicalOffset: half.physicalOffset,
    storeTimestamp: half.storeTimestamp,
    propertiesBytes,
    propertyCrc: false,
  });
  return record;
}
