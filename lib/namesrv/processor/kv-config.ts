import { ResponseCode } from "../../remoting/codes.ts";
import { requireString } from "../../remoting/headers.ts";
import type { RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { NamesrvContext } from "../namesrv-context.ts";

/** PUT_KV_CONFIG: answered when it is on disk. */
export async function putKvConfig(
  { kvConfig, topicRoutes }: NamesrvContext,
  { ext }: RemotingCommand,
): Promise<RemotingResponse> {
  const written = kvConfig.put(requireString(ext, "namespace"), requireString(ext, "key"), requireString(ext, "value"));
  topicRoutes.changed();
  await written;
  return { code: ResponseCode.SUCCESS };
}

/** GET_KV_CONFIG */
export function getKvConfig({ kvConfig }: NamesrvContext, { ext }: RemotingCommand): RemotingResponse {
  const namespace = requireString(ext, "namespace");
  const key = requireString(ext, "key");
  const value = kvConfig.get(namespace, key);
  if (value !== undefined) return { code: ResponseCode.SUCCESS, ext: { value } };
  return { code: ResponseCode.QUERY_NOT_FOUND, remark: `No config item, Namespace: ${namespace} Key: ${key}` };
}

/** DELETE_KV_CONFIG */
export async function deleteKvConfig(
  { kvConfig, topicRoutes }: NamesrvContext,
  { ext }: RemotingCommand,
): Promise<RemotingResponse> {
  const written = kvConfig.delete(requireString(ext, "namespace"), requireString(ext, "key"));
  topicRoutes.changed();
  await written;
  return { code: ResponseCode.SUCCESS };
}

/** GET_KVLIST_BY_NAMESPACE */
export function getKvListByNamespace({ kvConfig }: NamesrvContext, { ext }: RemotingCommand): RemotingResponse {
  const namespace = requireString(ext, "namespace");
  const body = kvConfig.encodeNamespace(namespace);
  if (body !== undefined) return { code: ResponseCode.SUCCESS, body };
  return { code: ResponseCode.QUERY_NOT_FOUND, remark: `No config item, Namespace: ${namespace}` };
}
