import type { Logger } from "../base/log.ts";
import type { NamesrvConfig } from "../config/namesrv-config.ts";
import type { KvConfigManager } from "./kv-config-manager.ts";
import type { RouteInfoManager } from "./route-info-manager.ts";
import type { TopicRoutes } from "./topic-routes.ts";

/** What the processors of a name server work with; built by `namesrv.ts`. */
export interface NamesrvContext {
  readonly config: NamesrvConfig;
  readonly routes: RouteInfoManager;
  readonly topicRoutes: TopicRoutes;
  readonly kvConfig: KvConfigManager;
  readonly logger: Logger;
  /** ms since the epoch. */
  readonly startedAt: number;
}
