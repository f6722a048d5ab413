import { expect, test } from "bun:test";
import { groupsBehind } from "../../../lib/broker/offset/groups-behind.ts";
import { message, openStore, smallConfig, TempDir } from "../../store/store-fixture.ts";

test("messages below a log offset that a group has not consumed are counted, over topics and queues", async () => {
  using dir = new TempDir();
  const store = await openStore(smallConfig(dir.path));
  const ends: number[] = [];
  for (let i = 0; i < 300; i++) ends.push(store.append(message(i % 3 === 0 ? "U" : "T", i % 2, "x")).physicalEnd);
  // Below the end of record 150 stand 50 of U and 101 of T, half of them in each queue.
  const behind = await groupsBehind(
    new Map([
      [
        "T@none",
        new Map([
          [0, 0],
          [1, 0],
        ]),
      ],
      [
        "T@some",
        new Map([
          [0, 30],
          [1, 100],
        ]),
      ],
      [
        "U@some",
        new Map([
          [0, 25],
          [1, 24],
        ]),
      ],
      [
        "T@all",
        new Map([
          [0, 50],
          [1, 51],
        ]),
      ],
      ["T@beyond", new Map([[0, 5000]])],
      ["gone@other", new Map([[0, 1]])],
    ]),
    store,
    ends[149]!,
  );
  expect([...behind]).toEqual([
    ["none", 100],
    ["some", 21],
  ]);
  await store.shutdown();
});
