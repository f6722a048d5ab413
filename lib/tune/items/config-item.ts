import type { BrokerFile, BrokerSource } from "../broker-file.ts";
import type { Compare, Explain, Hazard, Reading, TuneContext, TuneItem, Wanted } from "../types.ts";

/** One key of the broker's file, or a look at several. */
export interface ConfigRow {
  id: string;
  /** The key that apply writes; undefined: report only. */
  key?: string;
  title: string;
  compare?: Compare;
  off?: "INFO" | "WARN" | "FAIL";
  must?: boolean;
  cost: string;
  explain: Explain;
  wanted?: (broker: BrokerFile, context: TuneContext) => Wanted;
  /** Judges the value; what it leaves out is judged by comparing. */
  judge?: (broker: BrokerFile, context: TuneContext) => Partial<Reading>;
  hazard?: (target: string, broker: BrokerFile, context: TuneContext) => Hazard | undefined;
}

/** An item that is kept in the broker's properties file and counts from the broker's next start. */
export function configItem(row: ConfigRow, source: BrokerSource): TuneItem {
  const { key, hazard } = row;
  return {
    id: row.id,
    title: row.title,
    persist: key === undefined ? "none" : "CONF",
    effect: key === undefined ? "-" : "restart",
    revert: "restart",
    reach: "same",
    compare: row.compare ?? "same",
    off: row.off ?? "INFO",
    must: row.must ?? false,
    cost: row.cost,
    explain: row.explain,
    read: (context) => {
      const broker = source(context);
      if (typeof broker === "string") return { absent: broker };
      return { ...liveOf(broker, key), ...row.judge?.(broker, context) };
    },
    wanted: (context) => {
      const broker = source(context);
      return typeof broker === "string" ? {} : (row.wanted?.(broker, context) ?? {});
    },
    ...(key === undefined ? {} : { change: (target, context) => changeOf(key, target, source(context)) }),
    ...(hazard === undefined
      ? {}
      : {
          hazard: (target: string, context: TuneContext) => {
            const broker = source(context);
            return typeof broker === "string" ? undefined : hazard(target, broker, context);
          },
        }),
  };
}

function liveOf({ config, given }: BrokerFile, key: string | undefined): Reading {
  if (key === undefined) return {};
  const live = String(Reflect.get(config, key));
  const place = given.get(key);
  return { live, persisted: live, source: place?.where ?? "the default" };
}

function changeOf(
  key: string,
  value: string,
  broker: BrokerFile | string,
): ReturnType<NonNullable<TuneItem["change"]>> {
  if (typeof broker === "string" || broker.file === undefined) return [];
  if (String(Reflect.get(broker.config, key)) === value) return [];
  return [{ kind: "conf", file: broker.file, key, value }];
}
