import { describe, expect, test } from "bun:test";
import { parseNamesrvAddr } from "../../lib/client/client-options.ts";
import { lendDefaultRoute, publishQueues, routeFingerprint, subscribeQueues } from "../../lib/client/route.ts";
import { buildSubscription, encodeHeartbeatData } from "../../lib/protocol/body/heartbeat-data.ts";
import { decodeTopicRouteData } from "../../lib/protocol/body/topic-route-data.ts";

function route(addresses: string) {
  return decodeTopicRouteData(
    Buffer.from(
      `{"brokerDatas":[{"brokerAddrs":${addresses},"brokerName":"b","cluster":"c","enableActingMaster":false}],` +
        `"filterServerTable":{},"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":3,"topicSysFlag":0,"writeQueueNums":2}]}`,
    ),
  );
}

describe("the route of a topic", () => {
  test("both renderings of broker ids are read", () => {
    const standard = route('{"0":"10.0.0.1:10911","1":"10.0.0.2:10911"}');
    const fastjson = route('{0:"10.0.0.1:10911",1:"10.0.0.2:10911"}');
    expect(fastjson).toEqual(standard);
    expect(standard.brokerDatas[0]?.brokerAddrs).toEqual(
      new Map([
        [0, "10.0.0.1:10911"],
        [1, "10.0.0.2:10911"],
      ]),
    );
  });

  test("write queues for producers, read queues for consumers", () => {
    const found = route('{0:"a:1"}');
    expect(publishQueues("T", found).queues.map(({ queueId }) => queueId)).toEqual([0, 1]);
    expect(subscribeQueues("T", found).map(({ queueId }) => queueId)).toEqual([0, 1, 2]);
  });

  test("nothing is published without a master, or without permission", () => {
    expect(publishQueues("T", route('{1:"a:1"}')).queues).toEqual([]);
    const readOnly = route('{0:"a:1"}');
    for (const data of readOnly.queueDatas) data.perm = 4;
    expect(publishQueues("T", readOnly).queues).toEqual([]);
    expect(subscribeQueues("T", readOnly)).toHaveLength(3);
  });

  test("the order configuration names the queues", () => {
    const ordered = { ...route('{0:"a:1"}'), orderTopicConf: "y:1;x:2" };
    const { queues, ordered: isOrdered } = publishQueues("T", ordered);
    expect([isOrdered, queues.map(({ brokerName, queueId }) => `${brokerName}${queueId}`)]).toEqual([
      true,
      ["y0", "x0", "x1"],
    ]);
  });

  test("a lent route has no more queues than asked for", () => {
    const lent = lendDefaultRoute(route('{0:"a:1"}'), 2);
    expect(lent.queueDatas[0]).toMatchObject({ readQueueNums: 2, writeQueueNums: 2 });
  });

  test("order of lists makes no difference, an address does", () => {
    const one = route('{0:"a:1",1:"a:2"}');
    const same = route('{1:"a:2",0:"a:1"}');
    expect(routeFingerprint(one)).toBe(routeFingerprint(same));
    expect(routeFingerprint(one)).not.toBe(routeFingerprint(route('{0:"a:1",1:"a:3"}')));
  });

  test("a body that is no route is refused with the field", () => {
    expect(() => decodeTopicRouteData(Buffer.from('{"queueDatas":[{"brokerName":"b"}]}'))).toThrow(
      /read the route of a topic: queueDatas\.0\./,
    );
    expect(() => decodeTopicRouteData(Buffer.from("nonsense{"))).toThrow("read the route of a topic");
  });
});

describe("a heartbeat", () => {
  test("carries tags with Java's hash codes", () => {
    const subscription = buildSubscription("T", "TagA || TagB");
    expect([subscription.tagsSet, subscription.codeSet]).toEqual([
      ["TagA", "TagB"],
      [2598919, 2598920],
    ]);
    expect(buildSubscription("T", "*").tagsSet).toEqual([]);
    expect(buildSubscription("T", "a > 1", "SQL92")).toMatchObject({ subString: "a > 1", tagsSet: [] });
  });

  test("is written as Java writes it", () => {
    const subscription = { ...buildSubscription("T", "*"), subVersion: 1700000000000 };
    const text = encodeHeartbeatData({
      clientID: "10.0.0.1@123#1",
      producerGroups: ["pg"],
      consumers: [
        {
          groupName: "cg",
          consumeType: "CONSUME_PASSIVELY",
          messageModel: "CLUSTERING",
          consumeFromWhere: "CONSUME_FROM_LAST_OFFSET",
          subscriptionDataSet: [subscription],
          unitMode: false,
        },
      ],
    });
    expect(text).toBe(
      '{"clientID":"10.0.0.1@123#1","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET",' +
        '"consumeType":"CONSUME_PASSIVELY","groupName":"cg","messageModel":"CLUSTERING","subscriptionDataSet":[{' +
        '"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1700000000000,' +
        '"tagsSet":[],"topic":"T"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"pg"}],' +
        '"withoutSub":false}',
    );
  });
});

describe("name server addresses", () => {
  test("are split at semicolons", () => {
    expect(parseNamesrvAddr(" a:1; b:2 ;")).toEqual(["a:1", "b:2"]);
  });

  test.each(["", ";", "host", "host:", "host:0", "host:70000", ":9876"])("%p is none", (text) => {
    expect(() => parseNamesrvAddr(text)).toThrow("read the name server address");
  });
});
