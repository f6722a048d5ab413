import { ConfigError, errorText } from "../lib/base/errors.ts";
import type { BrokerConfig } from "../lib/config/broker-config.ts";
import type { StartFinding } from "../lib/tune/start-checks.ts";
import { warn } from "./out.ts";

/** The checks wait this long after the start: whoever comes first is served first. */
const DELAY_MS = 100;
const LOOPBACK = /^(127\.|localhost$|::1$)/;

/** Refuses a start (exit 78) for what `--production` cannot be without, all of it at once; the rest is warned of. */
export async function requireProduction(config: BrokerConfig): Promise<void> {
  const findings = await findingsOf(config);
  const musts = findings.filter(({ status, must }) => status === "FAIL" && must);
  for (const { text } of findings.filter((finding) => !musts.includes(finding))) warn(text);
  if (musts.length === 0) return;
  const lines = musts.map(({ text }) => `  ${text}`);
  throw new ConfigError(
    [`this machine is not ready for --production (${musts.length} of its must-haves are off):`, ...lines, HINT].join(
      "\n",
    ),
  );
}

/** Says what is off, a line each, soon after the start; on loopback only what fails, in one line. */
export function warnSoon(config: BrokerConfig): void {
  const timer = setTimeout(() => {
    findingsOf(config).then(
      (findings) => {
        for (const line of startLines(findings, LOOPBACK.test(config.bindAddress))) warn(line);
      },
      (error: unknown) => warn(`the machine could not be checked: ${errorText(error)}`),
    );
  }, DELAY_MS);
  timer.unref();
}

const HINT = "mq tune shows all checks, mq tune explain CHECK what one means";

/** What a start says of its findings. */
export function startLines(findings: readonly StartFinding[], loopback: boolean): string[] {
  if (!loopback) return findings.length === 0 ? [] : [...findings.map(({ text }) => text), HINT];
  const failed = findings.filter(({ status }) => status === "FAIL").map(({ id }) => id);
  if (failed.length === 0) return [];
  return [`before others use this broker: ${failed.join(", ")} (mq tune tells more)`];
}

async function findingsOf(config: BrokerConfig): Promise<StartFinding[]> {
  const { startChecks } = await import("../lib/tune/start-checks.ts");
  return startChecks(config);
}
