import type { BrokerConfig } from "../config/broker-config.ts";
import type { BrokerFile } from "./broker-file.ts";
import { contextOf, judge } from "./check.ts";
import { brokerItems } from "./items/broker.ts";
import { runtimeItems } from "./items/runtime.ts";
import { storeItems } from "./items/store.ts";
import { ITEMS } from "./items.ts";
import { Machine, type Ran } from "./machine.ts";
import type { CheckResult, Profile, TuneContext, TuneItem } from "./types.ts";
import { bytesText } from "./values.ts";

/** Rows about files of logins and services, which say nothing of the process that runs already, and the probe of the clock. */
const NOT_AT_START = /^(limits\.(?!process|nr-open)|conflict\.|cpu\.|unit\.memory)/;

/** Reads files only: a start waits for no other program. */
class FilesOnly extends Machine {
  /** Where a broker starts there is a kernel, even if it hides itself. */
  override get isImage(): boolean {
    return false;
  }

  override run(): Ran {
    return { status: undefined, out: "", error: "not run at a start" };
  }
}

export interface StartFinding {
  id: string;
  status: CheckResult["status"];
  /** Refuses a start with `--production`. */
  must: boolean;
  /** One line: what was found and what it costs. */
  text: string;
}

/** The checks of `mq tune` that concern a broker about to run with this configuration: what is WARN or FAIL, the worst first. Read-only. */
export async function startChecks(config: BrokerConfig, root = "/"): Promise<StartFinding[]> {
  const source = (): BrokerFile => ({ config, given: new Map(), file: undefined });
  const machine = new FilesOnly(root);
  // The floors are RocketMQ's; what is only advice is today's, so that no line asks for a value that mq itself calls a hazard.
  const contextFor = (profile: Profile) => contextOf(machine, { profile, store: config.storePathRootDir, pid: "self" });
  const floors = contextFor("classic");
  const advice = contextFor("modern");
  const own = [...storeItems(source), ...brokerItems(source), ...runtimeItems(source)];
  const ids = new Set(own.map(({ id }) => id));
  const items = [...ITEMS.filter(({ id }) => !NOT_AT_START.test(id) && !ids.has(id)), ...own];
  const findings: StartFinding[] = [];
  for (const item of items) {
    const found = finding(item, item.must ? floors : advice);
    if (found !== undefined) findings.push(found);
    // One row at a time: the loop has other work.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return findings.sort((a, b) => Number(b.status === "FAIL") - Number(a.status === "FAIL"));
}

function finding(item: TuneItem, context: TuneContext): StartFinding | undefined {
  const { id, status, must, live, target, reason } = judge(item, context);
  if (status !== "FAIL" && status !== "WARN") return undefined;
  // Good now and perhaps not after the next boot: nothing for a start to say.
  if (item.persist === "SYS" && live !== undefined && live === target) return undefined;
  const values =
    live === undefined || target === undefined || live === target ? "" : ` is ${live}, want ${plain(target)}`;
  return { id, status, must, text: `${id}${values}: ${reason}` };
}

/** `1073741824B` as people read it. */
function plain(value: string): string {
  const bytes = /^(\d+)B$/.exec(value)?.[1];
  return bytes === undefined ? value : bytesText(Number(bytes));
}
