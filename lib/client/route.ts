import type { TopicRouteData } from "../protocol/body/topic-route-data.ts";
import { compareMessageQueues, type MessageQueue } from "./message-queue.ts";
import { MASTER_ID, PERM_READ, PERM_WRITE } from "./names.ts";

/** [MQClientInstance#topicRouteData2TopicPublishInfo] The queues a producer may write to, in RocketMQ's order. */
export function publishQueues(topic: string, route: TopicRouteData): { queues: MessageQueue[]; ordered: boolean } {
  if (route.orderTopicConf !== undefined && route.orderTopicConf !== "") {
    return { queues: orderedQueues(topic, route.orderTopicConf), ordered: true };
  }
  const queues: MessageQueue[] = [];
  for (const data of route.queueDatas) {
    if ((data.perm & PERM_WRITE) === 0) continue;
    const broker = route.brokerDatas.find((candidate) => candidate.brokerName === data.brokerName);
    if (broker === undefined || !broker.brokerAddrs.has(MASTER_ID)) continue;
    for (let queueId = 0; queueId < data.writeQueueNums; queueId++) {
      queues.push({ topic, brokerName: data.brokerName, queueId });
    }
  }
  return { queues: queues.sort(compareMessageQueues), ordered: false };
}

function orderedQueues(topic: string, orderTopicConf: string): MessageQueue[] {
  const queues: MessageQueue[] = [];
  for (const part of orderTopicConf.split(";")) {
    const colon = part.lastIndexOf(":");
    if (colon <= 0) continue;
    const nums = Number(part.slice(colon + 1));
    for (let queueId = 0; queueId < nums; queueId++) queues.push({ topic, brokerName: part.slice(0, colon), queueId });
  }
  return queues;
}

/** [MQClientInstance#topicRouteData2TopicSubscribeInfo] The queues a consumer may read, in RocketMQ's order. */
export function subscribeQueues(topic: string, route: TopicRouteData): MessageQueue[] {
  const queues: MessageQueue[] = [];
  for (const data of route.queueDatas) {
    if ((data.perm & PERM_READ) === 0) continue;
    for (let queueId = 0; queueId < data.readQueueNums; queueId++) {
      queues.push({ topic, brokerName: data.brokerName, queueId });
    }
  }
  return queues.sort(compareMessageQueues);
}

/** The route of TBW102 lent to a topic that does not exist yet: at most `queueNums` queues per broker. */
export function lendDefaultRoute(route: TopicRouteData, queueNums: number): TopicRouteData {
  return {
    ...route,
    queueDatas: route.queueDatas.map((data) => {
      const nums = Math.min(queueNums, data.readQueueNums);
      return { ...data, readQueueNums: nums, writeQueueNums: nums };
    }),
  };
}

/** Text that is equal for equal routes, whatever the order of their lists. */
export function routeFingerprint(route: TopicRouteData): string {
  const queues = route.queueDatas.map((data) => JSON.stringify(data)).sort();
  const brokers = route.brokerDatas
    .map((data) => JSON.stringify([data.brokerName, [...data.brokerAddrs].sort((a, b) => a[0] - b[0])]))
    .sort();
  return JSON.stringify([route.orderTopicConf, queues, brokers]);
}
