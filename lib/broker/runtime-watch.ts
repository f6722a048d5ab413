import { errorText } from "../base/errors.ts";
import { linger } from "../base/linger.ts";
import type { Logger } from "../base/log.ts";
import type { BrokerConfig } from "../config/broker-config.ts";
import { usableCpus } from "../os/cpus.ts";
import { memoryBound, ProcessMemory } from "../os/memory.ts";
import { unsentBytes } from "../remoting/output.ts";
import type { RemotingServer } from "../remoting/types.ts";
import type { BrokerLoad } from "./broker-context.ts";
import { MemoryWatchdog, memoryBudget } from "./memory-watchdog.ts";
import { PauseLog } from "./pause-log.ts";

const MIB = 1024 * 1024;

/** Fewer cores have none to spare for a loop that looks again. */
const LINGER_CPUS_MIN = 2;
const LINGER_MICROSECONDS = 150;

/** What a JVM has flags for, and mq has keys for: the memory limit and the log of pauses. */
export class RuntimeWatch {
  private readonly memory = new ProcessMemory();
  private readonly watchdog: MemoryWatchdog;
  private readonly pauses: PauseLog | undefined;
  private readonly lingerMicroseconds: number;

  constructor(config: BrokerConfig, load: BrokerLoad, servers: () => (RemotingServer | undefined)[], logger: Logger) {
    const budget = memoryBudget(config.mqMemoryLimit, memoryBound());
    if (budget.remark !== "") logger.warn(budget.remark);
    logger.info(`memory: sends are refused before ${Math.floor(budget.bytes / MIB)} MiB of own memory`, {
      source: budget.source,
    });
    this.watchdog = new MemoryWatchdog(
      budget.bytes,
      { anonymousBytes: () => this.memory.anonymousBytes(), unsentBytes },
      {
        refuseSends: (reason) => {
          load.memoryShort = reason;
        },
        holdReading: (hold) => {
          for (const server of servers()) server?.holdReading(hold);
        },
        collect: () => Bun.gc(false),
      },
      logger,
    );
    this.pauses = pauseLog(config, logger);
    const { mqLoopLinger } = config;
    this.lingerMicroseconds =
      mqLoopLinger >= 0 ? mqLoopLinger : usableCpus() < LINGER_CPUS_MIN ? 0 : LINGER_MICROSECONDS;
  }

  start(): void {
    this.watchdog.start();
    linger.set(this.lingerMicroseconds);
    this.pauses?.start();
  }

  async stop(): Promise<void> {
    this.watchdog.stop();
    linger.set(0);
    this.memory.close();
    await this.pauses?.stop();
  }
}

function pauseLog(config: BrokerConfig, logger: Logger): PauseLog | undefined {
  const path = config.mqPauseLogPath;
  if (path === "") return undefined;
  return new PauseLog({
    path,
    fileBytes: config.mqPauseLogFileSize,
    files: config.mqPauseLogFiles,
    thresholdMs: config.mqPauseLogThreshold,
    onError: (error) => logger.warn(`pause log off: cannot write ${path}: ${errorText(error)}`),
  });
}
