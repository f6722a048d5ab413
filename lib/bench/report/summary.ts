import { type BenchResult, isSupported, type LatencyRecord, type RunRecord } from "../result.ts";
import { clockLines } from "./clock-lines.ts";
import { countText, fractionName, mibText, msText, percentText, rateFigures } from "./figures.ts";

/** Percentiles of the table; a result file holds more. */
const COLUMNS = [0.5, 0.95, 0.99, 0.999, 0.9999] as const;
/** The order in which a message meets them. */
const KINDS = ["lag", "service", "response", "e2e", "b2c", "s2c", "pull"] as const;
const CELL = 8;
const WITHHELD = "-";

/** What a verb prints when a run has ended: configuration, latencies, rate, ledger, client and broker. */
export function summaryText(result: BenchResult, run: RunRecord): string {
  const lines = [headline(result, run), ...latencyTable(run), rateLine(run)];
  if (run.ledger !== undefined)
    lines.push(ledgerLine(run.ledger, run.figures?.retried), ...run.ledger.examples.map((line) => `        ${line}`));
  const { checked, unexpected, duplicated, undecided } = run.figures ?? {};
  if (checked !== undefined)
    lines.push(
      `checks  ${countText(checked)}  unexpected ${unexpected}  duplicated ${duplicated}  UNDECIDED ${undecided}`,
    );
  lines.push(...clockLines(run));
  if (run.errors.length > 0)
    lines.push(`errors  ${run.errors.map(({ name, count }) => `${name} ${countText(count)}`).join("  ")}`);
  lines.push(useLine(run));
  for (const { id, text } of run.flags) if (id !== "SAME-HOST") lines.push(`${id}: ${text}`);
  if (run.interrupted === true) lines.push("interrupted: the figures are those until then");
  return lines.join("\n");
}

function headline(result: BenchResult, run: RunRecord): string {
  const brokers = result.brokers.filter(({ target }) => target === run.target);
  const settings = new Set(
    brokers.map(({ config }) =>
      [config.flushDiskType, config.brokerRole].filter((value) => value !== undefined).join(" "),
    ),
  );
  const first = brokers[0];
  const where =
    brokers.length === 1 && first !== undefined
      ? `${first.brokerName} ${first.address}`
      : `${brokers.length} brokers${run.target === "" ? "" : ` of ${run.target}`}`;
  const rate = run.options.rate;
  const loop =
    run.loop === "open" ? `open loop${typeof rate === "number" ? ` ${countText(rate)}/s` : ""}` : "closed loop";
  const parts = [run.work, where, [...settings].join(" | "), optionsText(run), loop, ...run.flags.map(({ id }) => id)];
  return parts.filter((part) => part !== "").join("  ");
}

function optionsText({ options }: RunRecord): string {
  const { connections, inFlight, size, batch, queues } = options;
  const parts: string[] = [];
  if (typeof connections === "number" && typeof inFlight === "number")
    parts.push(`${connections} x ${inFlight} in flight`);
  if (typeof size === "number") parts.push(`${countText(size)} B`);
  if (typeof batch === "number" && batch > 1) parts.push(`batches of ${batch}`);
  if (typeof queues === "number") parts.push(`${queues} queues`);
  return parts.join("  ");
}

/** Mean, percentiles and maximum of each kind in ms. A percentile with fewer than ten values beyond it is withheld. */
export function latencyTable(run: RunRecord): string[] {
  const kinds = [...KINDS, ...Object.keys(run.latencies).filter((kind) => !KINDS.some((known) => known === kind))];
  const shown = kinds.filter((kind) => (run.latencies[kind]?.count ?? 0) + (run.latencies[kind]?.nonPositive ?? 0) > 0);
  if (shown.length === 0) return [];
  const header = ["mean", ...COLUMNS.map(fractionName), "max"].map((name) => name.padStart(CELL)).join("");
  return [
    `${"".padEnd(8)}${header}   (ms)${"samples".padStart(12)}`,
    ...shown.map((kind) => latencyRow(kind, run.latencies[kind]!)),
    ...(run.loop === "closed" && shown.includes("service")
      ? ["service time: the next request waited for an answer; coordinated omission possible"]
      : []),
  ];
}

function latencyRow(kind: string, record: LatencyRecord): string {
  const at = new Map(record.quantiles);
  const cells = [
    msText(record.mean),
    ...COLUMNS.map((fraction) => {
      const us = at.get(fraction);
      return us !== undefined && isSupported(fraction, record.count) ? msText(us) : WITHHELD;
    }),
    msText(record.max),
  ];
  const skew = record.nonPositive > 0 ? `  ${countText(record.nonPositive)} of zero or less` : "";
  return `${kind.padEnd(8)}${cells.map((cell) => cell.padStart(CELL)).join("")}       ${countText(record.count).padStart(12)}${skew}`;
}

function rateLine(run: RunRecord): string {
  const { messagesPerSecond, bytesPerSecond, min, stddev } = rateFigures(run);
  const target = typeof run.options.rate === "number" ? `${countText(run.options.rate)} target, ` : "";
  const drain = run.figures?.drainSeconds;
  const backlog = drain === undefined ? "" : `   backlog 0 after ${drain.toFixed(1)} s`;
  return `rate    ${target}${countText(messagesPerSecond)}/s (min ${countText(min)}, sd ${countText(stddev)})   ${mibText(bytesPerSecond)} MiB/s${backlog}`;
}

function ledgerLine(ledger: NonNullable<RunRecord["ledger"]>, retried: number | undefined): string {
  return [
    `ledger  acked ${countText(ledger.acked)}`,
    `received ${countText(ledger.received)}`,
    `LOST ${ledger.lost}`,
    `DUP ${ledger.duplicates}`,
    `UNKNOWN-OK ${ledger.unknownOk}`,
    `CORRUPT ${ledger.corrupt}`,
    `REORDER ${ledger.reordered}`,
    ...(retried === undefined ? [] : [`RETRIED ${retried}`]),
    ...(ledger.filtered === undefined ? [] : [`FILTERED ${ledger.filtered}`]),
    ...(ledger.unreached === undefined ? [] : [`UNREACHED ${ledger.unreached}`]),
  ].join("  ");
}

function useLine(run: RunRecord): string {
  const { client } = run;
  const parts = [`client  cpu ${percentText(client.cpu)}  loop delay p99 ${client.loopDelayP99Ms.toFixed(1)} ms`];
  if (client.workers > 1) parts[0] += `  ${client.workers} workers`;
  for (const [name, use] of brokerUse(run))
    parts.push(
      `${name}  cpu ${percentText(use.cpu)}  anonymous ${mibText(use.anonymousBytes)} MiB  disk ${mibText(use.writtenBytesPerSecond)} MiB/s written`,
    );
  for (const [name, runtime] of Object.entries(run.runtime ?? {})) {
    const { putLatency99, dispatchBehindBytes } = runtime;
    if (putLatency99 !== undefined) parts.push(`${name}  putLatency99 ${putLatency99} ms`);
    if (dispatchBehindBytes !== undefined) parts.push(`behind ${dispatchBehindBytes} B`);
  }
  return parts.join("    ");
}

/** Mean use of each local process over the run's seconds, its memory the last. */
export function brokerUse(
  run: RunRecord,
): Map<string, { cpu: number; anonymousBytes: number; writtenBytesPerSecond: number }> {
  const uses = new Map<string, { cpu: number; anonymousBytes: number; writtenBytesPerSecond: number }>();
  const seen = new Map<string, number>();
  for (const { processes } of run.samples)
    for (const [name, sample] of Object.entries(processes ?? {})) {
      const use = uses.get(name) ?? { cpu: 0, anonymousBytes: 0, writtenBytesPerSecond: 0 };
      use.cpu += sample.cpu;
      use.writtenBytesPerSecond += sample.writtenBytesPerSecond;
      use.anonymousBytes = sample.anonymousBytes;
      uses.set(name, use);
      seen.set(name, (seen.get(name) ?? 0) + 1);
    }
  for (const [name, use] of uses) {
    use.cpu /= seen.get(name)!;
    use.writtenBytesPerSecond /= seen.get(name)!;
  }
  return uses;
}

/** One line per run: for sets of works, where a page of figures each would hide what matters. */
export function setTable(runs: readonly RunRecord[]): { header: string[]; rows: string[][] } {
  const header = ["WORK", "MSG/S", "MIB/S", "P50 ms", "P99 ms", "P99.9 ms", "MAX ms", "BROKER CPU", "NOTES"];
  const rows = runs.map((run) => {
    const kind = run.loop === "open" ? "response" : "service";
    const record = run.latencies[kind] ?? run.latencies.pull ?? run.latencies.e2e;
    const at = new Map(record?.quantiles ?? []);
    const cell = (fraction: number) =>
      record !== undefined && isSupported(fraction, record.count) ? msText(at.get(fraction) ?? 0) : WITHHELD;
    const { messagesPerSecond, bytesPerSecond } = rateFigures(run);
    const use = [...brokerUse(run).values()].map(({ cpu }) => percentText(cpu));
    return [
      run.work,
      countText(messagesPerSecond),
      mibText(bytesPerSecond),
      cell(0.5),
      cell(0.99),
      cell(0.999),
      record === undefined ? WITHHELD : msText(record.max),
      use.length === 0 ? WITHHELD : use.join(" "),
      run.flags.map(({ id }) => id).join(" "),
    ];
  });
  return { header, rows };
}
