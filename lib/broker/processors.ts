import { RequestCode } from "../remoting/codes.ts";
import type { ProcessorEntry, ProcessorTable } from "../remoting/types.ts";
import type { BrokerContext } from "./broker-context.ts";
import { adminClientRelayProcessors } from "./processor/admin-client-relay.ts";
import { adminConfigProcessors } from "./processor/admin-config.ts";
import { adminConnectionProcessors } from "./processor/admin-connection.ts";
import { adminConsumeStatsProcessors } from "./processor/admin-consume-stats.ts";
import { adminGroupProcessors } from "./processor/admin-group.ts";
import { adminOffsetProcessors } from "./processor/admin-offset.ts";
import { adminRuntimeProcessors } from "./processor/admin-runtime.ts";
import { adminTopicProcessors } from "./processor/admin-topic.ts";
import { clientManageProcessors } from "./processor/client-manage.ts";
import { consumerManageProcessors } from "./processor/consumer-manage.ts";
import { endTransactionProcessors } from "./processor/end-transaction.ts";
import { groupRoleProcessors } from "./processor/group-role.ts";
import { lockBatchProcessors } from "./processor/lock-batch.ts";
import { messageRequestModeProcessors } from "./processor/message-request-mode.ts";
import { type PullMessageProcessor, pullMessageProcessors } from "./processor/pull-message.ts";
import { queryMessageProcessors } from "./processor/query-message.ts";
import { replyMessageProcessors } from "./processor/reply-message.ts";
import { sendMessageProcessors } from "./processor/send-message.ts";
import { sendMessageBackProcessors } from "./processor/send-message-back.ts";

/** Everything the broker serves: RequestCode → processor. The server answers any other code with REQUEST_CODE_NOT_SUPPORTED. */
export function brokerProcessors(context: BrokerContext, pulls: PullMessageProcessor): ProcessorTable {
  const table = new Map<number, ProcessorEntry>();
  const parts = [
    sendMessageProcessors(context),
    replyMessageProcessors(context),
    pullMessageProcessors(pulls),
    clientManageProcessors(context),
    consumerManageProcessors(context),
    lockBatchProcessors(context),
    sendMessageBackProcessors(context),
    endTransactionProcessors(context),
    queryMessageProcessors(context),
    adminTopicProcessors(context),
    adminGroupProcessors(context),
    adminOffsetProcessors(context),
    adminConsumeStatsProcessors(context),
    adminConnectionProcessors(context),
    adminClientRelayProcessors(context),
    adminRuntimeProcessors(context),
    adminConfigProcessors(context),
    messageRequestModeProcessors(context),
    groupRoleProcessors(context),
  ];
  for (const [code, entry] of parts.flat()) {
    if (table.has(code)) throw new Error(`request code ${code} has two processors`);
    table.set(code, entry);
  }
  return table;
}

/** The fast ("VIP") port serves all but the pull family [BrokerController#registerProcessor]. */
export function fastProcessors(table: ProcessorTable): ProcessorTable {
  const fast = new Map(table);
  for (const code of PULL_FAMILY) fast.delete(code);
  return fast;
}

const PULL_FAMILY: readonly number[] = [
  RequestCode.PULL_MESSAGE,
  RequestCode.LITE_PULL_MESSAGE,
  RequestCode.PEEK_MESSAGE,
  RequestCode.POP_MESSAGE,
  RequestCode.NOTIFICATION,
  RequestCode.POLLING_INFO,
];
