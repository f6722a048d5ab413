import type { TuneItem } from "../types.ts";
import { amount } from "../values.ts";
import { sysctlItem } from "./sysctl-item.ts";

const BUFFER_BYTES = 16 * 1024 * 1024;
const PORTS_MIN = 20_000;

export const NET_ITEMS: readonly TuneItem[] = [
  sysctlItem({
    id: "net.somaxconn",
    key: "net.core.somaxconn",
    title: "connections that wait to be accepted",
    compare: "at least",
    off: "INFO",
    reach: "netns",
    defaults: ["4096"],
    cost: "many clients that connect at once are turned away and try again",
    explain: {
      what: "The longest queue of connections that a listening socket may have.",
      why: "4096 is the default since kernel 5.4. The runtime listens with a fixed backlog of 512, so that more has no effect for mq.",
      risk: "None.",
      verify: "ss -ltn   column Send-Q",
    },
    wanted: { modern: "4096" },
  }),
  sysctlItem({
    id: "net.syn-backlog",
    key: "net.ipv4.tcp_max_syn_backlog",
    title: "half-open connections",
    compare: "at least",
    off: "INFO",
    reach: "netns",
    cost: "a whole cluster that reconnects after a restart takes longer",
    explain: {
      what: "How many connections may be in the middle of their handshake.",
      why: "Clients of a restarted broker come all at once.",
      risk: "A few hundred bytes for each.",
      verify: "nstat -az TcpExtListenOverflows",
    },
    wanted: { modern: "4096" },
    // The kernel computes its default from the memory.
    adjust: (reading) =>
      reading.persisted === undefined && (amount(reading.live ?? "") ?? 0) >= 4096
        ? { ...reading, note: "the kernel's own value is high enough" }
        : reading,
  }),
  sysctlItem({
    id: "net.slow-start-after-idle",
    key: "net.ipv4.tcp_slow_start_after_idle",
    title: "start slowly again after a pause",
    off: "INFO",
    reach: "netns",
    cost: "the first messages after a quiet second travel in small steps",
    explain: {
      what: "Whether a connection that was idle forgets how fast it may send.",
      why: "Clients and slaves keep connections for weeks with pauses between bursts.",
      risk: "A burst can meet a line that has become slower; it then loses packets once.",
      verify: "ss -ti   column cwnd",
    },
    wanted: { modern: "0" },
  }),
  sysctlItem({
    id: "net.keepalive",
    key: "net.ipv4.tcp_keepalive_time",
    title: "seconds until an idle connection is tested",
    compare: "at most",
    off: "INFO",
    reach: "netns",
    cost: "firewalls forget an idle connection before the kernel tests it",
    explain: {
      what: "How long a connection may be silent before the kernel asks the other side.",
      why: "The default is two hours; firewalls and NAT forget after minutes. RocketMQ's clients send a heartbeat every 30 s, so that this matters only for other connections.",
      risk: "A packet now and then.",
      verify: "ss -to state established",
    },
    wanted: { modern: "300" },
  }),
  sysctlItem({
    id: "net.port-range",
    key: "net.ipv4.ip_local_port_range",
    title: "ports for outgoing connections",
    off: "INFO",
    reach: "netns",
    cost: "a machine with many clients runs out of ports to one broker",
    explain: {
      what: "From which port to which outgoing connections are numbered.",
      why: "28,232 by default. Only machines that run tens of thousands of clients (load tests) need more. A listening port inside the range can be taken by an outgoing connection: 10909 to 10912 and 9876 are outside of the default.",
      risk: "A range that reaches below 11000 includes RocketMQ's own ports.",
      verify: "sysctl net.ipv4.ip_local_port_range",
    },
    wanted: {},
    adjust: (reading) => {
      if (reading.live === undefined) return reading;
      const [from = 0, to = 0] = reading.live.split(/\s+/).map((text) => amount(text) ?? 0);
      if (from <= 10_912 && to >= 10_909)
        return {
          ...reading,
          status: "INFO",
          note: "the range includes RocketMQ's ports 10909 to 10912: a client may take one",
        };
      if (to - from < PORTS_MIN)
        return { ...reading, status: "INFO", note: `only ${to - from + 1} ports: few for a load test` };
      return { ...reading, status: "OK", note: `${to - from + 1} ports` };
    },
  }),
  ...(["rmem", "wmem"] as const).map((name) =>
    sysctlItem({
      id: `net.${name}-max`,
      key: `net.core.${name}_max`,
      title: name === "rmem" ? "receive buffer a program may ask for" : "send buffer a program may ask for",
      compare: "at least" as const,
      off: "INFO" as const,
      // Of the first network namespace only on most kernels: a container with such a --sysctl does not start.
      reach: "kernel" as const,
      cost: "replication over a long line is bounded by buffer / round trip",
      explain: {
        what: "The largest socket buffer that a program may ask for.",
        why: "16 MiB keeps a line of 1 Gbit/s with 100 ms full. Of no use within one data centre.",
        risk: "Memory for each connection that asks for it.",
        verify: "ss -tim",
      },
      wanted: { modern: String(BUFFER_BYTES) },
    }),
  ),
];
