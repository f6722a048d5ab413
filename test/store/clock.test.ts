import { afterEach, describe, expect, setSystemTime, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IndexService } from "../../lib/index/index-service.ts";
import { CommitLog } from "../../lib/store/commitlog/commit-log.ts";
import { DispatchRequest } from "../../lib/store/commitlog/dispatch-request.ts";
import { LogLines, message, smallConfig, TempDir } from "./store-fixture.ts";

afterEach(() => void setSystemTime());

/** The system's clock is set back by hours, as after a bad synchronisation or in a restored virtual machine. */
describe("a clock that goes back", () => {
  test("does not hold up the next index file, whatever the last one's name", () => {
    using dir = new TempDir();
    const index = new IndexService(
      { storePathRootDir: dir.path, maxHashSlotNum: 10, maxIndexNum: 4, maxMsgsNumBatch: 64 },
      new LogLines(),
    );
    const request = new DispatchRequest();
    request.topic = "T";
    request.buffer = Buffer.from("k");
    [request.keysStart, request.keysEnd] = [0, 1];
    setSystemTime(new Date("2099-12-31T23:59:59.999Z"));
    for (let i = 0; i < 12; i++) {
      request.physicalOffset = i * 100;
      request.storeTimestamp = Date.now();
      index.buildIndex(request);
      setSystemTime(new Date("2026-11-23T12:00:00Z"));
    }
    expect(index.files.length).toBe(4);
    const names = readdirSync(join(dir.path, "index"));
    expect(names.length).toBe(4);
    expect(names.every((name) => /^\d{17}$/.test(name))).toBe(true);
    expect(index.files.map((file) => file.path)).toEqual(names.sort().map((name) => join(dir.path, "index", name)));
    for (const file of index.files) file.close();
  });

  test("does not put off the next attempt to make a commit-log file", async () => {
    using dir = new TempDir();
    // A file where the directory is to be: nothing can be made there.
    writeFileSync(join(dir.path, "blocked"), "");
    const follower = { nextQueueOffset: () => 0, increaseQueueOffset: () => {}, dispatch: () => {} };
    const config = smallConfig(dir.path);
    const log = new CommitLog({ config, directories: [join(dir.path, "log")], follower, logger: new LogLines() });
    log.start();
    const body = Buffer.alloc(40_000);
    expect(log.append(message("T", 0, body)).status).toBe("PUT_OK");
    const pathOf = log.files.pathOf.bind(log.files);
    log.files.pathOf = () => join(dir.path, "blocked", "x");
    expect(log.append(message("T", 0, body)).status).toBe("CREATE_MAPPED_FILE_FAILED");
    log.files.pathOf = pathOf;
    setSystemTime(new Date(Date.now() - 3_600_000));
    // Time passes for the machine, though its clock stands an hour back.
    const { now } = performance;
    const later = now.call(performance) + 1001;
    performance.now = () => later;
    try {
      expect(log.append(message("T", 0, body)).status).toBe("PUT_OK");
    } finally {
      performance.now = now;
    }
    await log.close();
  });
});
