import * as v from "valibot";
import { errorText } from "../../base/errors.ts";
import { parseFastjson } from "../../base/fastjson.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { optionalBoolean, optionalInt, optionalString } from "../../remoting/headers.ts";
import { ResponseError } from "../../remoting/response-error.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { parseSubscriptionGroupConfig, subscriptionGroupJson } from "../client/subscription-group-config.ts";
import { member } from "../config-schema.ts";
import { groupNameFault } from "../topic/topic-validator.ts";
import type { SubscriptionGroupConfig } from "../types.ts";
import { groupOf, refusal, refuseFault, subscriptionJson, success, topicOf, writtenOrRefuse } from "./admin-request.ts";

/** Groups in one list request. */
const GROUPS_PER_REQUEST_MAX = 10_000;
/** Bit of the forbidden table that stops pulls [PermName.INDEX_PERM_READ]. */
const READ_FORBIDDEN_BIT = 2;
/** A retry topic has as many queues. */
const RETRY_QUEUES_MAX = 1024;

/** Creating, changing, deleting and listing consumer groups, and who consumes what [AdminBrokerProcessor]. */
export function adminGroupProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, consumers, groups, logger, offsets, stats } = context;

  async function updateGroup(request: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    // Java answers a missing body with success and does nothing.
    if (request.body === undefined) return success();
    await update(
      [read("SubscriptionGroupConfig", () => parseSubscriptionGroupConfig(parseFastjson(request.body!)))],
      connection,
    );
    return success();
  }

  async function updateGroupList(request: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    const list = read("groupConfigList", () =>
      v
        .parse(
          v.pipe(v.array(v.unknown()), v.maxLength(GROUPS_PER_REQUEST_MAX)),
          member(parseFastjson(request.body ?? ""), "groupConfigList"),
        )
        .map(parseSubscriptionGroupConfig),
    );
    await update(list, connection);
    return success();
  }

  async function update(list: SubscriptionGroupConfig[], connection: Connection): Promise<void> {
    for (const group of list) {
      refuseFault(groupNameFault(group.groupName));
      if (group.retryQueueNums > RETRY_QUEUES_MAX)
        refuseFault(
          `retryQueueNums of group ${group.groupName} is ${group.retryQueueNums}, wanted ${RETRY_QUEUES_MAX} at most`,
        );
    }
    logger.info("create or update groups", {
      groups: list.length === 1 ? list[0]!.groupName : list.length,
      caller: connection.remoteAddress,
    });
    const written = read("group attributes", () => groups.updateSubscriptionGroupConfigList(list));
    writtenOrRefuse(await written, groups.path);
  }

  function getAllGroups({ ext }: RemotingCommand): RemotingResponse {
    const version = optionalString(ext, "dataVersion");
    const maxNum = optionalInt(ext, "maxGroupNum");
    const sequence = optionalInt(ext, "groupSeq");
    const whole = version === undefined && maxNum === undefined && sequence === undefined;
    if (!config.enableSplitMetadata || whole)
      return {
        code: ResponseCode.SUCCESS,
        body: groups.encode(),
        ext: { totalGroupNum: groups.table.size },
      };
    const from = Math.max(0, sequence ?? 0);
    const count = Math.min(config.splitMetadataSize, maxNum ?? Number.POSITIVE_INFINITY);
    const page = [...groups.table].slice(from, from + count);
    return success(
      {
        dataVersion: groups.dataVersion,
        forbiddenTable: new Map(page.flatMap(([name]) => entryOf(groups.forbiddenTable, name))),
        subscriptionGroupTable: new Map(page.map(([name, group]) => [name, subscriptionGroupJson(group)])),
      },
      { totalGroupNum: groups.table.size },
    );
  }

  function getGroup({ ext }: RemotingCommand): RemotingResponse {
    const group = groupOf(ext);
    const found = groups.table.get(group);
    if (found === undefined)
      throw refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `No group in this broker. group: ${group}`);
    return success(subscriptionGroupJson(found));
  }

  async function deleteGroup({ ext }: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    const group = groupOf(ext, "groupName");
    const cleanOffset = optionalBoolean(ext, "cleanOffset", false);
    logger.warn("delete a group", { group, cleanOffset, caller: connection.remoteAddress });
    const written = groups.deleteSubscriptionGroupConfig(group);
    if (cleanOffset) offsets.removeOffset(group);
    stats.onGroupDeleted(group);
    writtenOrRefuse(await written, groups.path);
    return success();
  }

  function queryTopicConsumeByWho({ ext }: RemotingCommand): RemotingResponse {
    const topic = topicOf(ext);
    const groupList = new Set([...consumers.queryTopicConsumeByWho(topic), ...offsets.whichGroupByTopic(topic)]);
    return success({ groupList: [...groupList] });
  }

  function queryTopicsByConsumer({ ext }: RemotingCommand): RemotingResponse {
    const topicList = [...offsets.whichTopicByConsumer(groupOf(ext))];
    return success({ brokerAddr: context.brokerAddress, topicList });
  }

  function querySubscriptionByConsumer({ ext }: RemotingCommand): RemotingResponse {
    const group = groupOf(ext);
    const topic = topicOf(ext);
    const data = consumers.findSubscriptionData(group, topic);
    return success({ group, topic, subscriptionData: data === undefined ? undefined : subscriptionJson(data) });
  }

  /** Tells, and with `readable` sets, whether a group may consume a topic [AdminBrokerProcessor#updateAndGetGroupForbidden]. */
  async function updateAndGetGroupForbidden({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const group = groupOf(ext);
    const topic = topicOf(ext);
    const readable = optionalBoolean(ext, "readable");
    if (readable !== undefined) {
      const bits = groups.forbidden(group, topic);
      const changed = readable ? bits & ~(1 << READ_FORBIDDEN_BIT) : bits | (1 << READ_FORBIDDEN_BIT);
      if (changed !== bits) writtenOrRefuse(await groups.updateForbidden(group, topic, changed), groups.path);
    }
    return success({ group, topic, readable: !groups.isForbidden(group, topic, READ_FORBIDDEN_BIT) });
  }

  return [
    [RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, { processor: updateAndGetGroupForbidden }],
    [RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, { processor: updateGroup }],
    [RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, { processor: updateGroupList }],
    [RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, { processor: getAllGroups }],
    [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { processor: getGroup }],
    [RequestCode.DELETE_SUBSCRIPTIONGROUP, { processor: deleteGroup }],
    [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, { processor: queryTopicConsumeByWho }],
    [RequestCode.QUERY_TOPICS_BY_CONSUMER, { processor: queryTopicsByConsumer }],
    [RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER, { processor: querySubscriptionByConsumer }],
  ];
}

function entryOf<V>(table: ReadonlyMap<string, V>, key: string): [string, V][] {
  const value = table.get(key);
  return value === undefined ? [] : [[key, value]];
}

/** Runs a reader of the request's body; what it throws becomes the remark. */
function read<T>(what: string, reader: () => T): T {
  try {
    return reader();
  } catch (error) {
    throw new ResponseError(ResponseCode.SYSTEM_ERROR, `read ${what}: ${errorText(error)}`);
  }
}
