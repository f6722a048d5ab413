import { describe, expect, test } from "bun:test";
import {
  clientRemoting,
  environmentCredentials,
  signature,
  signedText,
  signFields,
} from "../../lib/client/credentials.ts";
import { decodeCommand } from "../../lib/remoting/command.ts";

const keys = { accessKey: "ak", secretKey: "12345678" };

describe("signatures", () => {
  test("are those of the reference [AclSignerTest]", () => {
    expect(signature(keys, "RocketMQ")).toBe("IUc8rrO/0gDch8CjObLQsW2rsiA=");
    expect(signature(keys, "Rocket", Buffer.from("MQ"))).toBe("IUc8rrO/0gDch8CjObLQsW2rsiA=");
    expect(signature(keys, "RocketMQ", "")).toBe("IUc8rrO/0gDch8CjObLQsW2rsiA=");
  });

  test("cover the fields in the order of their names, capitals first, and not themselves", () => {
    expect(signedText({ topic: "t", Signature: "s", b: "2", AccessKey: "ak", a: "1" })).toBe("ak12t");
    const { Signature, ...rest } = signFields(keys, { queueId: 3, wait: true, gone: undefined, topic: "T" }, "body");
    expect(rest).toEqual({ AccessKey: "ak", queueId: "3", topic: "T", wait: "true" });
    expect(Signature).toBe(signature(keys, "ak3Ttruebody"));
    expect(signFields({ ...keys, securityToken: "tok" }, {}, undefined).SecurityToken).toBe("tok");
  });
});

test("keys come from the environment, both or none", () => {
  expect(environmentCredentials({})).toBeUndefined();
  expect(environmentCredentials({ MQ_ACCESS_KEY: "a", MQ_SECRET_KEY: "b" })).toMatchObject({
    accessKey: "a",
    secretKey: "b",
  });
  expect(() => environmentCredentials({ MQ_SECRET_KEY: "b" })).toThrow(
    "found MQ_SECRET_KEY alone, want MQ_ACCESS_KEY and MQ_SECRET_KEY",
  );
});

test("a client with keys signs what it sends, once for each request", async () => {
  const seen: Record<string, string>[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  using server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      binaryType: "buffer",
      data(_, chunk) {
        for (let at = 0; at < chunk.length; at += chunk.readInt32BE(at) + 4)
          seen.push({ ...decodeCommand(chunk, at, at + 4 + chunk.readInt32BE(at)).ext });
        if (seen.length === 2) resolve();
      },
    },
  });
  const client = clientRemoting(keys);
  for (let i = 0; i < 2; i++)
    await client.invokeOneway(`127.0.0.1:${server.port}`, { code: 34, ext: { clientID: "c" }, body: "{}" }, 1000);
  await promise;
  const signed = { AccessKey: "ak", clientID: "c", Signature: signature(keys, "akc{}") };
  expect(seen).toEqual([signed, signed]);
  await client.close();
});
