import { expect, test } from "bun:test";
import { BUSY_TURN_FRAMES, Linger } from "../../lib/base/linger.ts";

/** Turns right behind each other, as many as make an attempt worthwhile, and more. */
function closeTurns(linger: Linger, frames: number): void {
  for (let i = 0; i < 100; i++) linger.turnDone(frames);
}

async function asleep(linger: Linger): Promise<void> {
  while (linger.looking) await Bun.sleep(0);
}

test("looks again behind small turns that follow each other at once, and stops when nothing comes", async () => {
  const linger = new Linger();
  linger.set(50);
  closeTurns(linger, 1);
  expect(linger.looking).toBe(true);
  await asleep(linger);
  linger.turnDone(1);
  await asleep(linger);
  // What it had earned is lost by waits in vain.
  for (let i = 0; i < 10; i++) {
    await Bun.sleep(1);
    linger.turnDone(1);
  }
  await asleep(linger);
  await Bun.sleep(1);
  linger.turnDone(1);
  expect(linger.looking).toBe(false);
});

test("never in a busy loop, a quiet one, or when it is off", async () => {
  const busy = new Linger();
  busy.set(1000);
  closeTurns(busy, BUSY_TURN_FRAMES);
  expect(busy.looking).toBe(false);
  closeTurns(busy, 1);
  expect(busy.looking).toBe(true);
  busy.turnDone(BUSY_TURN_FRAMES);
  await asleep(busy);

  const quiet = new Linger();
  quiet.set(1000);
  for (let i = 0; i < 30; i++) {
    quiet.turnDone(1);
    await Bun.sleep(1);
  }
  expect(quiet.looking).toBe(false);

  const off = new Linger();
  closeTurns(off, 1);
  expect(off.looking).toBe(false);
});

test("not while answers wait for the disk; from the answer on", async () => {
  const linger = new Linger();
  linger.set(1000);
  linger.hold();
  closeTurns(linger, 1);
  expect(linger.looking).toBe(false);
  linger.answered();
  expect(linger.looking).toBe(true);
  linger.hold();
  linger.turnDone(1);
  await asleep(linger);
  linger.answered();
  expect(linger.looking).toBe(true);
  await asleep(linger);

  const off = new Linger();
  closeTurns(off, 1);
  off.answered();
  expect(off.looking).toBe(false);
});
