const EMPTY = Buffer.alloc(0);

/**
 * A message on its way into the commit log. The send path fills one reused instance per broker; everyone else makes a new
 * one. Body and properties are ranges of buffers, so that a body is copied once only: into the mapping.
 */
export class MessageInner {
  topic = "";
  queueId = 0;
  flag = 0;
  /** sysFlag without the two V6 bits: the encoder sets those from the hosts' lengths. */
  sysFlag = 0;
  bornTimestamp = 0;
  /** 4 or 16 address bytes, then the port as int32. */
  bornHost: Buffer = EMPTY;
  storeHost: Buffer = EMPTY;
  reconsumeTimes = 0;
  preparedTransactionOffset = 0;

  /** Body as stored (already compressed where sysFlag says so). */
  body: Buffer = EMPTY;
  bodyStart = 0;
  bodyEnd = 0;

  /** `name 0x01 value 0x02` repeated. */
  properties: Buffer = EMPTY;
  propertiesStart = 0;
  propertiesEnd = 0;
  /** Written behind `properties`; the broker's own constant part (MSG_REGION, TRACE_ON, CLUSTER). Needs the 0x02 between when `properties` lacks it. */
  propertiesSuffix: Buffer = EMPTY;

  /** What the consume queue stores: Java's hashCode of TAGS, or the deliver time in the schedule topic; 0 without tags. */
  tagsCode = 0;
  /** Ranges in `properties` for the index; start -1 when absent. */
  uniqKeyStart = -1;
  uniqKeyEnd = -1;
  keysStart = -1;
  keysEnd = -1;
  /** WAIT property: false means that the sender does not wait for flush or slave. */
  waitStoreMsgOk = true;
  /** Delay level of the DELAY property, 0 when none. */
  delayLevel = 0;
}
