import { mqadmin, startBroker, startNamesrv } from "../support/cluster.mjs";

/**
 * Commands of the official admin tool, each with what its output has to hold. N and B stand for the name server's and
 * the broker's address. Those of one step do not depend on each other; each costs the start of a JVM.
 */
const steps = [
  [
    ["clusterList -n N", /DefaultCluster\s+broker-a\s+0\s+\S+:\d+/],
    ["updateTopic -n N -b B -t admin-topic -r 3 -w 3", /create topic to .* success/],
    ["updateSubGroup -n N -b B -g admin-group -r 4", /create subscription group to .* success/],
    ["updateKvConfig -n N -s admin-space -k key -v value", /create or update kv config to namespace success/],
    ["brokerStatus -n N -b B", /bootTimestamp/],
    ["getBrokerConfig -n N -b B", /flushDiskType/],
    ["getNamesrvConfig -n N", /listenPort/],
  ],
  [
    ["producerConnection -n N -g nobody -t admin-topic", /not exist/],
    ["topicList -n N", /admin-topic/],
    ["topicRoute -n N -t admin-topic", /"brokerName":\s*"broker-a"/],
    ["topicClusterList -n N -t admin-topic", /DefaultCluster/],
    ["sendMessage -n N -t admin-topic -p hello -k admin-key -c admin-tag", /broker-a\s+\d\s+SEND_OK\s+\w+/],
    ["updateBrokerConfig -n N -b B -k deleteWhen -v 05", /update broker config success/],
    ["deleteKvConfig -n N -s admin-space -k key", /delete kv config from namespace success/],
    ["deleteSubGroup -n N -b B -g admin-group", /delete subscription group \[admin-group\] from broker .* success/],
    ["updateOrderConf -n N -t admin-topic -m put -v broker-a:3", /success/],
  ],
  [
    ["topicStatus -n N -t admin-topic", /broker-a\s+0\s+0\s+\d/],
    ["queryMsgByKey -n N -t admin-topic -k admin-key", /\w{32}\s+\d\s+0/],
    ["consumeMessage -n N -t admin-topic -g admin-consumer", /BODY: hello/],
    ["consumerProgress -n N", /#Group/],
    ["updateOrderConf -n N -t admin-topic -m get", /broker-a:3/],
    ["getBrokerConfig -n N -b B", /deleteWhen\s+=\s+05/],
  ],
  [["wipeWritePerm -n N -b broker-a", /wipe write perm of broker\[broker-a\].*OK/]],
  [["addWritePerm -n N -b broker-a", /add write perm of broker\[broker-a\].*OK/]],
  [["deleteTopic -n N -c DefaultCluster -t admin-topic", /delete topic \[admin-topic\] from cluster .* success/]],
  [["topicRoute -n N -t admin-topic", /No topic route info/]],
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
    const places = { N: namesrv.address, B: broker.address };
    const one = async ([command, wanted], name) => {
      const { stdout, stderr } = await mqadmin(
        `${dir}/admin`,
        command.split(" ").map((word) => places[word] ?? word),
      );
      const text = `${stdout}\n${stderr}`
        .split("\n")
        .filter((line) => !line.includes(" |-"))
        .join("\n");
      report.check(suite, name, wanted.test(text), () => `wanted ${wanted}, found ${text.trim().slice(0, 1000)}`);
    };
    for (const [step, commands] of steps.entries()) {
      await Promise.all(commands.map((command) => one(command, `${command[0].split(" ")[0]}-${step + 1}`)));
    }
    report.end(suite, started);
  },
};
