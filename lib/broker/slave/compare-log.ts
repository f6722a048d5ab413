import * as v from "valibot";
import { integer, parseBody } from "../../protocol/body/tolerant.ts";
import { createRemotingClient } from "../../remoting/client.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { StoredRecord } from "../../store/types.ts";

const TIMEOUT_MS = 3_000;
const ONE_OF_TWO = "keep one of the two logs and empty the other store";

const logRangeSchema = v.object({ table: v.object({ commitLogMinOffset: integer, commitLogMaxOffset: integer }) });

/**
 * Why a slave's log is not a copy of its master's, undefined when nothing says so. The transfer protocol compares lengths only: a log of
 * another cluster, or one whose end its master lost in a crash, would be gone on with, and vouched for. So the slave's last record is
 * asked for at the master with a client's request (code 33); a record holds its place, its store time and its message. Throws when the
 * master cannot be asked.
 */
export async function compareLog(master: string, record: StoredRecord): Promise<string | undefined> {
  const { physicalOffset: offset, bytes } = record;
  const client = createRemotingClient();
  try {
    const view = { code: RequestCode.VIEW_MESSAGE_BY_ID, ext: { offset } };
    const found = await client.invoke(master, view, TIMEOUT_MS);
    const another = `this log is not the master's: at ${offset} the master has something else; ${ONE_OF_TWO}`;
    if (found.code === ResponseCode.SUCCESS)
      return found.body !== undefined && bytes.equals(found.body) ? undefined : another;
    const info = await client.invoke(master, { code: RequestCode.GET_BROKER_RUNTIME_INFO }, TIMEOUT_MS);
    // It starts, or has too much to do: soon it can be asked.
    if (info.code === ResponseCode.SERVICE_NOT_AVAILABLE || info.code === ResponseCode.SYSTEM_BUSY)
      throw new Error(`the master cannot be asked for its log: ${info.remark ?? `code ${info.code}`}`);
    if (info.code !== ResponseCode.SUCCESS) return undefined;
    const { commitLogMinOffset, commitLogMaxOffset } = parseBody(
      logRangeSchema,
      info.body,
      "runtime information",
    ).table;
    // Deleted there: how much is missing here the master says.
    if (offset < commitLogMinOffset) return undefined;
    if (offset + bytes.length <= commitLogMaxOffset) return another;
    return `this log goes on where the master's ends: it holds what the master lost; ${ONE_OF_TWO}`;
  } finally {
    await client.close();
  }
}
