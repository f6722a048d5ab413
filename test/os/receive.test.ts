import { expect, test } from "bun:test";
import type { Socket } from "bun";
import { receiveNow } from "../../lib/os/receive.ts";
import { until } from "../support/until.ts";

const descriptor = (socket: Socket<undefined>) => (socket as unknown as { readonly fd: number }).fd;

test("takes what has arrived; the loop gets what comes later, and hears of the end itself", async () => {
  const target = Buffer.alloc(16);
  const heard: string[] = [];
  let accepted: Socket<undefined> | undefined;
  using listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket: Socket<undefined>) => {
        accepted = socket;
      },
      data: (_, chunk) => {
        heard.push(chunk.toString());
      },
      close: () => {
        heard.push("closed");
      },
    },
  });
  const peer = await Bun.connect({ hostname: "127.0.0.1", port: listener.port, socket: { data() {} } });
  await until(() => accepted !== undefined);
  const fd = descriptor(accepted!);
  expect(receiveNow(fd, target)).toBe(0);
  peer.write("first");
  // In the turn of the write: the loop has not seen it.
  expect(target.toString("latin1", 0, receiveNow(fd, target))).toBe("first");
  expect(heard).toEqual([]);
  peer.write("second");
  await until(() => heard.length > 0);
  expect(heard).toEqual(["second"]);
  peer.end();
  expect(receiveNow(fd, target)).toBe(0);
  await until(() => heard.includes("closed"));
  expect(descriptor(accepted!)).toBe(-1);
  expect(receiveNow(-1, target)).toBe(0);
});
