/** Broker id of a master [MixAll#MASTER_ID]. */
export const MASTER_ID = 0;
/** Permission bits of a topic on a broker [PermName]. */
export const PERM_READ = 4;
export const PERM_WRITE = 2;
/** A group's topic for messages that are to come again [MixAll#RETRY_GROUP_TOPIC_PREFIX]. */
export const RETRY_GROUP_TOPIC_PREFIX = "%RETRY%";
