import { join } from "node:path";
import * as v from "valibot";
import { parseFastjson } from "../../base/fastjson.ts";
import type { Logger } from "../../base/log.ts";
import { jsonObject, member } from "../config-schema.ts";
import { KeptFile } from "./kept-file.ts";

/** lastReadTimeMs, lastTimerLogFlushPos, lastTimerQueueOffset, masterTimerQueueOffset, DataVersion: seven longs [TimerCheckpoint#encode]. */
const CHECKPOINT_BYTES = 56;
const FLUSH_POSITION_AT = 8;
const QUEUE_OFFSET_AT = 16;
/** The file is a mapped page. */
const CHECKPOINT_FILE_BYTES = 4096;
const NO_METRICS = '{"dataVersion":{"counter":0,"stateVersion":0,"timestamp":0},"timingCount":{}}';
const NO_MODES = '{"messageRequestModeMap":{}}';

/** Timer state, request modes and static-topic mappings of a group of brokers, for the Java brokers among them. */
export class KeptState {
  readonly #checkpoint: KeptFile;
  readonly #metrics: KeptFile;
  readonly #modes: KeptFile;
  readonly #mappings: KeptFile;

  constructor(storePathRootDir: string, logger: Logger) {
    const file = (name: string) => new KeptFile(join(storePathRootDir, "config", name), logger);
    this.#checkpoint = file("timercheck");
    this.#metrics = file("timermetrics");
    this.#modes = file("messageRequestMode.json");
    this.#mappings = file("topicQueueMapping.json");
  }

  load(): void {
    for (const file of this.#files()) file.load();
  }

  async shutdown(): Promise<void> {
    for (const file of this.#files()) await file.settled();
  }

  /** Answer to GET_TIMER_CHECK_POINT. */
  get timerCheckpoint(): Buffer {
    const { bytes } = this.#checkpoint;
    return bytes !== undefined && bytes.length >= CHECKPOINT_BYTES
      ? bytes.subarray(0, CHECKPOINT_BYTES)
      : Buffer.alloc(CHECKPOINT_BYTES);
  }

  /** The master's, without its places in timer log and timer queue: this broker has no timer log that they could name. */
  takeTimerCheckpoint(body: Buffer): void {
    if (body.length < CHECKPOINT_BYTES) throw new Error(`it has ${body.length} bytes, wanted ${CHECKPOINT_BYTES}`);
    const page = Buffer.alloc(CHECKPOINT_FILE_BYTES);
    body.copy(page, 0, 0, CHECKPOINT_BYTES);
    page.fill(0, FLUSH_POSITION_AT, QUEUE_OFFSET_AT + 8);
    this.#checkpoint.take(page);
  }

  /** Answer to GET_TIMER_METRICS. */
  get timerMetrics(): string {
    return this.#metrics.bytes?.toString("utf8") ?? NO_METRICS;
  }

  takeTimerMetrics(body: Buffer): void {
    v.parse(jsonObject, parseFastjson(body));
    this.#metrics.take(body);
  }

  /** Answer to GET_ALL_MESSAGE_REQUEST_MODE. */
  get requestModes(): string {
    return this.#modes.bytes?.toString("utf8") ?? NO_MODES;
  }

  takeRequestModes(body: Buffer): void {
    v.parse(jsonObject, member(parseFastjson(body), "messageRequestModeMap") ?? {});
    this.#modes.take(body);
  }

  /** Members of GET_ALL_TOPIC_CONFIG's answer that tell static topics. */
  get mappings(): { mappingDataVersion: unknown; topicQueueMappingDetailMap: unknown } {
    const { bytes } = this.#mappings;
    const value = bytes === undefined ? {} : parseFastjson(bytes);
    return {
      mappingDataVersion: member(value, "dataVersion") ?? { counter: 0, stateVersion: 0, timestamp: 0 },
      topicQueueMappingDetailMap: member(value, "topicQueueMappingInfoMap") ?? {},
    };
  }

  /** `text` is the file as RocketMQ writes it: `{"dataVersion":..,"topicQueueMappingInfoMap":{..}}`. */
  takeMappings(text: string): void {
    this.#mappings.take(Buffer.from(text, "utf8"));
  }

  #files(): KeptFile[] {
    return [this.#checkpoint, this.#metrics, this.#modes, this.#mappings];
  }
}
