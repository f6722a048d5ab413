import { accessSync, constants, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../../base/atomic-file.ts";
import { errorText, MqError } from "../../base/errors.ts";
import { decodeBase64 } from "../hdr/encoding.ts";
import { intervalLog, type LogInterval } from "../hdr/log.ts";
import { percentileText } from "../hdr/percentile-text.ts";
import { type BenchResult, histogramOf, type RunRecord, writeResult } from "../result.ts";
import { htmlReport } from "./html.ts";
import { markdownReport } from "./markdown.ts";
import { secondsCsv } from "./seconds-csv.ts";

/** Files to write; each that is undefined is not written. `out` is a folder that gets all of them. */
export interface ExportPaths {
  json?: string | undefined;
  hdr?: string | undefined;
  html?: string | undefined;
  out?: string | undefined;
}

/** Tries every place that will be written to, while there is nothing to lose yet. Throws MqError that names the flag. */
export function checkExportPaths({ json, hdr, html, out }: ExportPaths): void {
  const folders = Object.entries({ json, hdr, html }).map(([flag, file]) => [flag, file && dirname(file)] as const);
  for (const [flag, folder] of [...folders, ["out", out] as const]) {
    if (folder === undefined) continue;
    try {
      mkdirSync(folder, { recursive: true });
      accessSync(folder, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw new MqError(`write --${flag}: ${errorText(error)}; want a folder that can be written to`);
    }
  }
}

/**
 * Writes the files and returns their names in the order written. Every file appears whole or not at all. Into `out` go
 * `result.json`, `report.html`, `report.md`, `seconds.csv`, `run.hlog`, and one `.hgrm` for each run and kind.
 */
export async function exportResult(result: BenchResult, paths: ExportPaths): Promise<string[]> {
  const written: string[] = [];
  const write = async (file: string, content: string) => {
    await writeFileAtomic(file, content, { keepPrevious: false });
    written.push(file);
  };
  const json = async (file: string) => {
    await writeResult(file, result);
    written.push(file);
  };
  if (paths.json !== undefined) await json(paths.json);
  if (paths.hdr !== undefined) await write(paths.hdr, hdrLog(result));
  if (paths.html !== undefined) await write(paths.html, htmlReport(result));
  if (paths.out === undefined) return written;
  const { out } = paths;
  mkdirSync(out, { recursive: true });
  await json(join(out, "result.json"));
  await write(join(out, "report.html"), htmlReport(result));
  await write(join(out, "report.md"), markdownReport(result));
  await write(join(out, "seconds.csv"), secondsCsv(result.runs));
  await write(join(out, "run.hlog"), hdrLog(result));
  for (const run of result.runs)
    for (const [kind, record] of Object.entries(run.latencies))
      if (record.count > 0) await write(join(out, `${fileName(run, kind)}.hgrm`), percentileText(histogramOf(record)));
  return written;
}

/** All seconds of all runs as one interval log, tagged with what they are of. */
export function hdrLog(result: BenchResult): string {
  const several = result.runs.length > 1;
  const intervals = result.runs.flatMap((run): LogInterval[] => {
    const offset = Math.max(0, (run.startedAt - result.startedAt) / 1000);
    let before = 0;
    return run.samples.flatMap((sample) => {
      const start = before;
      before = sample.second;
      return Object.entries(sample.latencies).map(([kind, hdr]) => ({
        tag: several ? fileName(run, kind) : kind,
        startSeconds: offset + start,
        lengthSeconds: sample.second - start,
        histogram: decodeBase64(hdr),
      }));
    });
  });
  return intervalLog(result.startedAt, intervals);
}

/** Of a run and kind: letters, digits, dot, dash and underscore only, so that it is a file name and a tag anywhere. */
function fileName({ work, target, round }: RunRecord, kind: string): string {
  const parts = [target, work, round > 0 ? String(round + 1) : "", kind].filter((part) => part !== "");
  return parts
    .join("-")
    .replace(/[^A-Za-z0-9._-]/g, "_")
    .replace(/^\.+/, "_");
}
