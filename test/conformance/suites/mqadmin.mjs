import { mqadmin, startBroker, startNamesrv } from "../support/cluster.mjs";

/**
 * Commands of the official admin tool in the order in which they depend on each other, each with what its output
 * has to hold. N and B stand for the name server's and the broker's address, ID for the offset id of the message sent.
 */
const commands = [
  ["clusterList -n N", /DefaultCluster\s+broker-a\s+0\s+\S+:\d+/],
  ["updateTopic -n N -b B -t admin-topic -r 3 -w 3", /create topic to .* success/],
  ["topicList -n N", /admin-topic/],
  ["topicRoute -n N -t admin-topic", /"brokerName":\s*"broker-a"/],
  ["topicClusterList -n N -t admin-topic", /DefaultCluster/],
  ["sendMessage -n N -t admin-topic -p hello -k admin-key -c admin-tag", /broker-a\s+\d\s+SEND_OK\s+\w+/],
  ["topicStatus -n N -t admin-topic", /broker-a\s+0\s+0\s+\d/],
  ["queryMsgByKey -n N -t admin-topic -k admin-key", /\w{32}\s+\d\s+0/],
  ["consumeMessage -n N -t admin-topic -g admin-consumer", /BODY: hello/],
  ["updateSubGroup -n N -b B -g admin-group -r 4", /create subscription group to .* success/],
  ["consumerProgress -n N", /#Group/],
  ["producerConnection -n N -g nobody -t admin-topic", /not exist/],
  ["brokerStatus -n N -b B", /bootTimestamp/],
  ["getBrokerConfig -n N -b B", /flushDiskType/],
  ["updateBrokerConfig -n N -b B -k flushConsumerOffsetInterval -v 4000", /update broker config success/],
  ["getNamesrvConfig -n N", /listenPort/],
  ["updateKvConfig -n N -s admin-space -k key -v value", /create or update kv config to namespace success/],
  ["deleteKvConfig -n N -s admin-space -k key", /delete kv config from namespace success/],
  ["updateOrderConf -n N -t admin-topic -m put -v broker-a:3", /success/],
  ["updateOrderConf -n N -t admin-topic -m get", /broker-a:3/],
  ["wipeWritePerm -n N -b broker-a", /wipe write perm of broker\[broker-a\].*OK/],
  ["addWritePerm -n N -b broker-a", /add write perm of broker\[broker-a\].*OK/],
  ["deleteSubGroup -n N -b B -g admin-group", /delete subscription group \[admin-group\] from broker .* success/],
  ["deleteTopic -n N -c DefaultCluster -t admin-topic", /delete topic \[admin-topic\] from cluster .* success/],
  ["topicRoute -n N -t admin-topic", /No topic route info/],
];

export const mqadminSuite = {
  name: "mqadmin",
  about: "the official admin tool's commands for topics, groups, offsets, queries and name servers",
  targets: ["mq", "java"],
  needs: ["java", "mvn"],
  async run({ report, suite, target, dir, own }) {
    const started = Date.now();
    const namesrv = own(await startNamesrv(target, `${dir}/namesrv`));
    const broker = own(await startBroker(target, `${dir}/broker`, namesrv.address));
    const seen = new Map();
    for (const [command, wanted] of commands) {
      const args = command
        .split(" ")
        .map((word) => (word === "N" ? namesrv.address : word === "B" ? broker.address : word));
      const { stdout, stderr } = await mqadmin(`${dir}/admin`, args);
      const count = (seen.get(args[0]) ?? 0) + 1;
      seen.set(args[0], count);
      report.check(
        suite,
        count > 1 ? `${args[0]}-${count}` : args[0],
        wanted.test(stdout + stderr),
        () => `wanted ${wanted}, found ${(stdout + stderr).slice(0, 1200)}`,
      );
    }
    report.end(suite, started);
  },
};
