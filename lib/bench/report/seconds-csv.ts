import { mainKind } from "../compare/units.ts";
import { decodeBase64 } from "../hdr/encoding.ts";
import type { RunRecord } from "../result.ts";

const COLUMNS = [
  "work",
  "target",
  "round",
  "second",
  "sent",
  "acked",
  "failed",
  "received",
  "bytes_sent",
  "bytes_received",
  "backlog",
  "in_flight",
  "kind",
  "p50_us",
  "p99_us",
  "max_us",
  "client_cpu",
  "client_loop_delay_p99_ms",
  "machine_cpu",
  "brokers_cpu",
  "brokers_anonymous_bytes",
  "brokers_written_bytes_per_second",
  "stolen_seconds",
] as const;

/** All seconds of all runs, one line each, for a spreadsheet [RFC 4180]. A cell without a value is empty. */
export function secondsCsv(runs: readonly RunRecord[]): string {
  const lines = [COLUMNS.join(",")];
  for (const run of runs) {
    const kind = mainKind(run);
    for (const sample of run.samples) {
      const encoded = kind === undefined ? undefined : sample.latencies[kind];
      const histogram = encoded === undefined ? undefined : decodeBase64(encoded);
      const processes = Object.values(sample.processes ?? {});
      const total = (of: (one: (typeof processes)[number]) => number) =>
        processes.length === 0 ? undefined : processes.reduce((sum, one) => sum + of(one), 0);
      const cells = [
        run.work,
        run.target,
        run.round,
        sample.second,
        sample.sent,
        sample.acked,
        sample.failed,
        sample.received,
        sample.bytesSent,
        sample.bytesReceived,
        sample.backlog,
        sample.inFlight,
        kind,
        histogram?.percentile(0.5),
        histogram?.percentile(0.99),
        histogram?.max,
        sample.clientCpu,
        sample.clientLoopDelayP99Ms,
        sample.machineCpu,
        total(({ cpu }) => cpu),
        total(({ anonymousBytes }) => anonymousBytes),
        total(({ writtenBytesPerSecond }) => writtenBytesPerSecond),
        sample.stolenSeconds,
      ];
      lines.push(cells.map(cell).join(","));
    }
  }
  return `${lines.join("\r\n")}\r\n`;
}

function cell(value: string | number | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") return String(Math.round(value * 1000) / 1000);
  // A cell that a spreadsheet would run as a formula is made text.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
