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
};
