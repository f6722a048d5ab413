import { key } from "./key.ts";

/** Keys of [NettyClientConfig] that are not in [NettyServerConfig] too: the outgoing side of broker and name server. */
export const nettyClientKeys = {
  clientWorkerThreads: key.int(4, "netty threads", { unused: true }),
  clientCallbackExecutorThreads: key.int(4, "callback threads", { unused: true }),
  clientOnewaySemaphoreValue: key.int(65_535, "parallel oneway requests sent", { unused: true }),
  clientAsyncSemaphoreValue: key.int(65_535, "parallel async requests sent", { unused: true }),
  connectTimeoutMillis: key.int(3000, "ms to connect", { unused: true }),
  channelNotActiveInterval: key.long(60_000, "leftover that nothing reads", { unused: true }),
  clientChannelMaxIdleTimeSeconds: key.int(120, "seconds until an idle connection is closed", { unused: true }),
  clientSocketSndBufSize: key.int(0, "0 = OS default", { unused: true }),
  clientSocketRcvBufSize: key.int(0, "0 = OS default", { unused: true }),
  clientPooledByteBufAllocatorEnable: key.boolean(false, "netty memory", { unused: true }),
  clientCloseSocketIfTimeout: key.boolean(true, "close a connection whose call timed out", { unused: true }),
  useTLS: key.boolean(false, "connect with TLS", { later: true }),
  socksProxyConfig: key.text("{}", "SOCKS proxies by address pattern, as JSON", { later: true }),
  disableCallbackExecutor: key.boolean(false, "callbacks on netty threads", { unused: true }),
  disableNettyWorkerGroup: key.boolean(false, "netty threads", { unused: true }),
  maxReconnectIntervalTimeSeconds: key.long(60, "seconds between attempts to reconnect, at most", { unused: true }),
  enableReconnectForGoAway: key.boolean(true, "open a new connection when the peer says that it goes", {
    unused: true,
  }),
  scanAvailableNameSrv: key.boolean(true, "probe name servers in the background", { unused: true }),
};
