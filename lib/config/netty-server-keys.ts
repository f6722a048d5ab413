import { type Key, key } from "./key.ts";

/** Keys of [NettyServerConfig]: the one part that broker and name server share. */
export const nettyServerKeys = {
  bindAddress: key.text("0.0.0.0", "address to listen on"),
  serverWorkerThreads: key.int(8, "netty threads", { unused: true }),
  serverCallbackExecutorThreads: key.int(0, "netty threads", { unused: true }),
  serverSelectorThreads: key.int(3, "netty threads", { unused: true }),
  serverOnewaySemaphoreValue: key.int(256, "parallel oneway requests sent", { min: 0, unused: true }),
  serverAsyncSemaphoreValue: key.int(64, "parallel async requests sent", { min: 0, unused: true }),
  serverChannelMaxIdleTimeSeconds: key.int(120, "seconds until an idle connection is closed", { min: 0 }),
  serverSocketSndBufSize: key.int(0, "0 = OS default", { unused: true }),
  serverSocketRcvBufSize: key.int(0, "0 = OS default", { unused: true }),
  writeBufferHighWaterMark: key.int(0, "0 = netty default", { unused: true }),
  writeBufferLowWaterMark: key.int(0, "0 = netty default", { unused: true }),
  serverSocketBacklog: key.int(1024, "connections that may wait to be accepted", { min: 1, max: 65535 }),
  serverNettyWorkerGroupEnable: key.boolean(true, "netty threads", { unused: true }),
  serverPooledByteBufAllocatorEnable: key.boolean(true, "netty memory", { unused: true }),
  enableShutdownGracefully: key.boolean(false, "send GO_AWAY (1500) on shutdown", { later: true }),
  shutdownWaitTimeSeconds: key.int(30, "wait for it", { min: 0, later: true }),
  useEpollNativeSelector: key.boolean(false, "netty epoll", { unused: true }),
};

/** The listening port, whose default is the process's own. */
export function listenPort(standard: number): Key<number> {
  return key.int(standard, "port to listen on; 0 takes a free one", { important: true, min: 0, max: 65535 });
}
