import { key } from "./key.ts";

/** Keys of mq's own, and those that RocketMQ reads from the broker's file past its configuration classes. */
export const mqKeys = {
  rmqAddressServerDomain: key.text("jmenv.tbsite.net", "host, or host:port, of the address server"),
  rmqAddressServerSubGroup: key.text("nsaddr", "path below /rocketmq/ on the address server"),
  mqAdvertisedPort: key.int(0, "port that clients are told, where it differs from listenPort; 0 = listenPort", {
    min: 0,
    max: 65535,
  }),
  mqAdvertisedHaPort: key.int(0, "port that slaves are told, where it differs from haListenPort; 0 = haListenPort", {
    min: 0,
    max: 65535,
  }),
  mqMemoryLimit: key.long(
    0,
    "bytes of own memory (heap, buffers, store pool; no mapped files) before which sends are refused; 0 = 80 % of the machine's or the control group's",
    { min: 0 },
  ),
  mqLockMemory: key.boolean(
    true,
    "lock the store pool (transientStorePoolEnable) and the log file in use (warmMapedFileEnable) in memory, as RocketMQ does",
  ),
  mqLoopLinger: key.int(
    -1,
    "microseconds that the event loop looks again before it sleeps, while one request follows another at once: less latency for a core's time; 0 = never, -1 = 150 on two cores and more",
    { min: -1, max: 1000 },
  ),
  mqPauseLogPath: key.optional(
    "file for event-loop pauses and heap collections, in /dev/shm for instance; none unless set",
  ),
  mqPauseLogFileSize: key.int(31_457_280, "bytes after which the pause log begins a new file", { min: 4096 }),
  mqPauseLogFiles: key.int(5, "files of the pause log kept, the current one among them", { min: 1, max: 1000 }),
  mqPauseLogThreshold: key.int(10, "ms that the event loop must be late to be written to the pause log", { min: 1 }),
};
