import { UsageError } from "../../base/errors.ts";
import { type MessageQueue, messageQueueText } from "../message-queue.ts";
import { consistentHashRouter } from "./consistent-hash.ts";

/**
 * [AllocateMessageQueueStrategy] Which of the sorted `queues` the client `clientId` of the sorted `clientIds` takes. Every
 * client computes this for itself, so the arithmetic must be RocketMQ's to the last queue.
 */
export interface AllocateStrategy {
  /** Name on the wire and in `--allocate`. */
  readonly name: string;
  allocate(clientId: string, queues: readonly MessageQueue[], clientIds: readonly string[]): MessageQueue[];
}

/** [AllocateMessageQueueAveragely] Contiguous shares, the first ones one longer. */
export const averagely: AllocateStrategy = {
  name: "AVG",
  allocate(clientId, queues, clientIds) {
    const index = clientIds.indexOf(clientId);
    if (index < 0 || queues.length === 0) return [];
    const rest = queues.length % clientIds.length;
    const share = Math.floor(queues.length / clientIds.length);
    const longer = rest > 0 && index < rest;
    const size = queues.length <= clientIds.length ? 1 : longer ? share + 1 : share;
    const start = longer ? index * size : index * size + rest;
    return queues.slice(start, start + size);
  },
};

/** [AllocateMessageQueueAveragelyByCircle] Queues dealt out in turn. */
export const averagelyByCircle: AllocateStrategy = {
  name: "AVG_BY_CIRCLE",
  allocate(clientId, queues, clientIds) {
    const index = clientIds.indexOf(clientId);
    if (index < 0) return [];
    return queues.filter((_, i) => i % clientIds.length === index);
  },
};

/** [AllocateMessageQueueConsistentHash] A ring of `virtualNodes` MD5 positions per client. */
export function consistentHash(virtualNodes = 10): AllocateStrategy {
  return {
    name: "CONSISTENT_HASH",
    allocate(clientId, queues, clientIds) {
      if (!clientIds.includes(clientId)) return [];
      const route = consistentHashRouter(clientIds, virtualNodes);
      return queues.filter((queue) => route(messageQueueText(queue)) === clientId);
    },
  };
}

/** [AllocateMessageQueueByMachineRoom] Only brokers named `room@name` with the room in `rooms`. */
export function byMachineRoom(rooms: ReadonlySet<string>): AllocateStrategy {
  return {
    name: "MACHINE_ROOM",
    allocate(clientId, queues, clientIds) {
      const index = clientIds.indexOf(clientId);
      if (index < 0) return [];
      const ours = queues.filter((queue) => {
        const parts = queue.brokerName.split("@");
        return parts.length === 2 && rooms.has(parts[0] ?? "");
      });
      const share = Math.floor(ours.length / clientIds.length);
      const result = ours.slice(share * index, share * (index + 1));
      const extra = ours[index + share * clientIds.length];
      if (ours.length % clientIds.length > index && extra !== undefined) result.push(extra);
      return result;
    },
  };
}

/** Tells the machine room of a broker's queue and of a client. */
export interface MachineRoomResolver {
  brokerDeployIn(queue: MessageQueue): string;
  consumerDeployIn(clientId: string): string;
}

/** Rooms written before an `@`: `room@broker-a`, and `room@...` in the client id. The text without one is its own room. */
export const roomBeforeAt: MachineRoomResolver = {
  brokerDeployIn: (queue) => queue.brokerName.split("@")[0] ?? "",
  consumerDeployIn: (clientId) => clientId.split("@")[0] ?? "",
};

/** [AllocateMachineRoomNearby] Own room first, by `inner`; a room without clients is shared by all. */
export function machineRoomNearby(inner: AllocateStrategy, resolver: MachineRoomResolver): AllocateStrategy {
  return {
    name: `MACHINE_ROOM_NEARBY-${inner.name}`,
    allocate(clientId, queues, clientIds) {
      if (!clientIds.includes(clientId)) return [];
      const queuesByRoom = groupBy(queues, (queue) => resolver.brokerDeployIn(queue));
      const clientsByRoom = groupBy(clientIds, (id) => resolver.consumerDeployIn(id));
      const room = resolver.consumerDeployIn(clientId);
      const result = inner.allocate(clientId, queuesByRoom.get(room) ?? [], clientsByRoom.get(room) ?? []);
      for (const other of [...queuesByRoom.keys()].sort()) {
        if (other === room || clientsByRoom.has(other)) continue;
        result.push(...inner.allocate(clientId, queuesByRoom.get(other) ?? [], clientIds));
      }
      return result;
    },
  };
}

/**
 * [AllocateMessageQueueByConfig] A fixed list, whoever else is there. Of a topic that the list does not name, as the retry topic,
 * everyone takes an average share: Java would leave it to nobody.
 */
export function byConfig(fixed: readonly MessageQueue[]): AllocateStrategy {
  return {
    name: "CONFIG",
    allocate(clientId, queues, clientIds) {
      const ours = fixed.filter(({ topic }) => topic === queues[0]?.topic);
      return ours.length > 0 ? ours : averagely.allocate(clientId, queues, clientIds);
    },
  };
}

/** What a strategy chosen by name may need. */
export interface AllocateOptions {
  /** MACHINE_ROOM: the rooms whose brokers are consumed. */
  machineRooms?: readonly string[];
  /** MACHINE_ROOM_NEARBY: how rooms are told; default `roomBeforeAt`. */
  machineRoomResolver?: MachineRoomResolver;
  /** CONFIG: the queues. */
  queues?: readonly MessageQueue[];
}

export const ALLOCATE_STRATEGY_NAMES = [
  "AVG",
  "AVG_BY_CIRCLE",
  "CONSISTENT_HASH",
  "MACHINE_ROOM",
  "MACHINE_ROOM_NEARBY",
  "CONFIG",
] as const;

/**
 * The strategy of that name; `MACHINE_ROOM_NEARBY-<inner>` picks the inner one. Throws UsageError for an unknown name, and where
 * rooms or queues are missing without which nothing would ever be consumed.
 */
export function allocateStrategy(name: string, options: AllocateOptions = {}): AllocateStrategy {
  if (name === "AVG") return averagely;
  if (name === "AVG_BY_CIRCLE") return averagelyByCircle;
  if (name === "CONSISTENT_HASH") return consistentHash();
  if (name === "MACHINE_ROOM") return byMachineRoom(new Set(wanted(name, "rooms", options.machineRooms)));
  if (name === "CONFIG") return byConfig(wanted(name, "queues", options.queues));
  if (name === "MACHINE_ROOM_NEARBY" || name.startsWith("MACHINE_ROOM_NEARBY-")) {
    const inner = allocateStrategy(name.slice("MACHINE_ROOM_NEARBY-".length) || "AVG", options);
    return machineRoomNearby(inner, options.machineRoomResolver ?? roomBeforeAt);
  }
  throw new UsageError(
    `choose the allocation of queues: "${name}" is not one of ${ALLOCATE_STRATEGY_NAMES.join(", ")}`,
  );
}

function wanted<T>(name: string, what: string, list: readonly T[] | undefined): readonly T[] {
  if (list !== undefined && list.length > 0) return list;
  throw new UsageError(`choose the allocation of queues: ${name} wants ${what}, found none`);
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const at = key(item);
    const group = groups.get(at);
    if (group === undefined) groups.set(at, [item]);
    else group.push(item);
  }
  return groups;
}
