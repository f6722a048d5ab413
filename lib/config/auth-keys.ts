import { key } from "./key.ts";

/** Keys of [AuthConfig]. This version checks nobody: `refusals.ts` stops a start that asks for it. */
export const authKeys = {
  authConfigPath: key.optional("where users and policies are kept", { later: true }),
  authenticationEnabled: key.boolean(false, "check who sends a request", { later: true }),
  authenticationProvider: key.optional("Java class that checks users", { later: true }),
  authenticationMetadataProvider: key.optional("Java class that keeps users", { later: true }),
  authenticationStrategy: key.optional("Java class that decides when to check", { later: true }),
  authenticationWhitelist: key.optional("request codes that need no user, joined by ,", { later: true }),
  initAuthenticationUser: key.optional("first user, as JSON with username and password", { later: true }),
  innerClientAuthenticationCredentials: key.optional(
    "what brokers show each other, as JSON with accessKey, secretKey",
    {
      later: true,
    },
  ),
  authorizationEnabled: key.boolean(false, "check what a user may do", { later: true }),
  authorizationProvider: key.optional("Java class that checks policies", { later: true }),
  authorizationMetadataProvider: key.optional("Java class that keeps policies", { later: true }),
  authorizationStrategy: key.optional("Java class that decides when to check", { later: true }),
  authorizationWhitelist: key.optional("request codes that need no policy, joined by ,", { later: true }),
  migrateAuthFromV1Enabled: key.boolean(false, "take over plain_acl.yml of 4.x", { later: true }),
  userCacheMaxNum: key.int(1000, "users kept in memory", { unused: true }),
  userCacheExpiredSecond: key.int(600, "seconds a user is kept", { unused: true }),
  userCacheRefreshSecond: key.int(60, "seconds until a user is read again", { unused: true }),
  aclCacheMaxNum: key.int(1000, "policies kept in memory", { unused: true }),
  aclCacheExpiredSecond: key.int(600, "seconds a policy is kept", { unused: true }),
  aclCacheRefreshSecond: key.int(60, "seconds until a policy is read again", { unused: true }),
  statefulAuthenticationCacheMaxNum: key.int(10_000, "answers kept per connection", { unused: true }),
  statefulAuthenticationCacheExpiredSecond: key.int(60, "seconds an answer is kept", { unused: true }),
  statefulAuthorizationCacheMaxNum: key.int(10_000, "answers kept per connection", { unused: true }),
  statefulAuthorizationCacheExpiredSecond: key.int(60, "seconds an answer is kept", { unused: true }),
};
