import type { Connection } from "../../remoting/types.ts";

/** Most groups of one kind that may be online at once. */
export const GROUPS_ONLINE_MAX = 100_000;
/** Most groups that one connection may bring: heartbeats are the one place where a peer makes tables grow. */
export const GROUPS_PER_CONNECTION_MAX = 4096;

export type GroupKind = "producer" | "consumer";

/** Which groups a connection belongs to, so that its end costs as much as it brought and not a walk over every group. */
export class ChannelBook {
  private readonly groups = new Map<Connection, { producer: Set<string>; consumer: Set<string> }>();

  join(connection: Connection, kind: GroupKind, group: string): void {
    let entry = this.groups.get(connection);
    if (entry === undefined) {
      entry = { producer: new Set(), consumer: new Set() };
      this.groups.set(connection, entry);
    }
    entry[kind].add(group);
  }

  leave(connection: Connection, kind: GroupKind, group: string): void {
    const entry = this.groups.get(connection);
    if (entry === undefined) return;
    entry[kind].delete(group);
    if (entry.producer.size === 0 && entry.consumer.size === 0) this.groups.delete(connection);
  }

  has(connection: Connection, kind: GroupKind): boolean {
    const entry = this.groups.get(connection);
    return entry !== undefined && entry[kind].size > 0;
  }

  /** A copy: the caller leaves groups while it walks. */
  of(connection: Connection, kind: GroupKind): string[] {
    return [...(this.groups.get(connection)?.[kind] ?? [])];
  }

  count(connection: Connection): number {
    const entry = this.groups.get(connection);
    return entry === undefined ? 0 : entry.producer.size + entry.consumer.size;
  }
}
