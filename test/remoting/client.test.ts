import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createRemotingClient } from "../../lib/remoting/client.ts";
import { RemotingConnectError, RemotingSendError, RemotingTimeoutError } from "../../lib/remoting/errors.ts";
import { createRemotingServer } from "../../lib/remoting/server.ts";
import type { Connection, ProcessorEntry, RemotingServer } from "../../lib/remoting/types.ts";
import { until } from "./raw-peer.ts";

const ECHO = 1;
const SILENT = 2;
const ASK_BACK = 3;
const HANG_UP = 4;
const QUESTION = 40;

const oneways: string[] = [];

const processors = new Map<number, ProcessorEntry>([
  [
    ECHO,
    {
      processor: ({ ext, body, flag }) => {
        if (flag === 2) oneways.push(String(body));
        return { code: 0, ext, body };
      },
    },
  ],
  [SILENT, { processor: () => undefined }],
  [
    ASK_BACK,
    {
      processor: (_request, connection) =>
        connection
          .invoke({ code: QUESTION, body: "?" }, 5000)
          .then(({ code, body, remark }) => ({ code, body, remark })),
    },
  ],
  [HANG_UP, { processor: (_request, connection) => void connection.close("hang up") }],
]);

let server: RemotingServer;
let address: string;

beforeAll(async () => {
  server = await createRemotingServer({ hostname: "127.0.0.1", port: 0, processors });
  address = `127.0.0.1:${server.port}`;
});

afterAll(() => server.close(1000));

describe("a client", () => {
  for (const serializeType of [0, 1] as const) {
    test(`sends and gets answers, type ${serializeType}`, async () => {
      const client = createRemotingClient({ serializeType });
      const response = await client.invoke(address, { code: ECHO, ext: { topic: "T", n: 5 }, body: "hi" }, 3000);
      expect(response).toMatchObject({ code: 0, ext: { topic: "T", n: "5" }, body: Buffer.from("hi"), serializeType });
      await client.close();
    });
  }

  test("shares one connection per address, also when opened at once", async () => {
    await until(() => server.connections.size === 0);
    const client = createRemotingClient();
    const bodies = Array.from({ length: 2000 }, (_, i) => `body ${i}`);
    const responses = await Promise.all(bodies.map((body) => client.invoke(address, { code: ECHO, body }, 3000)));
    expect(responses.map(({ body }) => String(body))).toEqual(bodies);
    expect(server.connections.size).toBe(1);
    await client.close();
    await until(() => server.connections.size === 0);
  });

  test("never uses an opaque twice in the process", async () => {
    const clients = [createRemotingClient(), createRemotingClient()];
    const responses = await Promise.all(
      clients.flatMap((client) => Array.from({ length: 100 }, () => client.invoke(address, { code: ECHO }, 3000))),
    );
    expect(new Set(responses.map(({ opaque }) => opaque)).size).toBe(200);
    for (const client of clients) await client.close();
  });

  test("carries a body of many megabytes both ways", async () => {
    const client = createRemotingClient();
    const body = Buffer.alloc(10 * 1024 * 1024, "0123456789");
    expect((await client.invoke(address, { code: ECHO, body }, 10_000)).body?.equals(body)).toBe(true);
    expect(client.invoke(address, { code: ECHO, body: Buffer.alloc(17 * 1024 * 1024) }, 1000)).rejects.toThrow(
      "want a frame of at most",
    );
    await client.close();
  });

  test("sends codes beyond 16 bits as JSON", async () => {
    const client = createRemotingClient({ serializeType: 1 });
    expect(await client.invoke(address, { code: 200050 }, 3000)).toMatchObject({ code: 3, serializeType: 0 });
    await client.close();
  });

  test("oneway", async () => {
    const client = createRemotingClient();
    await client.invokeOneway(address, { code: ECHO, body: "first" }, 3000);
    await client.invokeOneway(address, { code: ECHO, body: "second" }, 3000);
    await until(() => oneways.length >= 2);
    expect(oneways).toEqual(["first", "second"]);
    await client.close();
  });

  test("serves requests of its peer", async () => {
    const client = createRemotingClient({
      processors: new Map<number, ProcessorEntry>([
        [QUESTION, { processor: ({ body }) => ({ code: 0, body: `${body}!` }) }],
      ]),
    });
    expect(String((await client.invoke(address, { code: ASK_BACK }, 3000)).body)).toBe("?!");
    await client.close();
    const deaf = createRemotingClient();
    expect(await deaf.invoke(address, { code: ASK_BACK }, 3000)).toMatchObject({
      code: 3,
      remark: ` request type ${QUESTION} not supported`,
    });
    await deaf.close();
  });
});

describe("what goes wrong", () => {
  test("no response in time", async () => {
    const client = createRemotingClient();
    expect(client.invoke(address, { code: SILENT }, 30)).rejects.toBeInstanceOf(RemotingTimeoutError);
    expect((await client.invoke(address, { code: ECHO }, 3000)).code).toBe(0);
    await client.close();
  });

  test("time-outs come in their order", async () => {
    const client = createRemotingClient();
    const order: number[] = [];
    await Promise.allSettled(
      [90, 30, 60].map((ms) => client.invoke(address, { code: SILENT }, ms).finally(() => order.push(ms))),
    );
    expect(order).toEqual([30, 60, 90]);
    await client.close();
  });

  test("nobody listens", async () => {
    const client = createRemotingClient();
    const gone = await createRemotingServer({ hostname: "127.0.0.1", port: 0, processors });
    await gone.close(100);
    const attempt = client.invoke(`127.0.0.1:${gone.port}`, { code: ECHO }, 3000);
    expect(attempt).rejects.toBeInstanceOf(RemotingConnectError);
    expect(attempt).rejects.toThrow(`connect to 127.0.0.1:${gone.port}`);
    expect(client.invoke("no-such-host.invalid:1", { code: ECHO }, 3000)).rejects.toBeInstanceOf(RemotingConnectError);
    expect(client.invoke("nonsense", { code: ECHO }, 3000)).rejects.toBeInstanceOf(RemotingConnectError);
    await client.close();
  });

  test("the peer hangs up: all that wait fail at once, the next call opens a new connection", async () => {
    const closed: string[] = [];
    const client = createRemotingClient({ onClose: (_connection, at, reason) => closed.push(`${at} ${reason}`) });
    const waiting = Array.from({ length: 10 }, () => client.invoke(address, { code: SILENT }, 60_000));
    const last = client.invoke(address, { code: HANG_UP }, 60_000);
    for (const result of await Promise.allSettled([...waiting, last])) {
      expect(result.status).toBe("rejected");
      if (result.status === "rejected") expect(result.reason).toBeInstanceOf(RemotingSendError);
    }
    expect(closed).toEqual([`${address} peer`]);
    expect((await client.invoke(address, { code: ECHO }, 3000)).code).toBe(0);
    await client.close();
  });

  test("closeAddress and close fail what waits", async () => {
    const client = createRemotingClient();
    const first = client.invoke(address, { code: SILENT }, 60_000);
    await client.invoke(address, { code: ECHO }, 3000);
    client.closeAddress(address, "changed my mind");
    expect(first).rejects.toThrow("connection closed (changed my mind)");
    const second = client.invoke(address, { code: SILENT }, 60_000);
    await client.invoke(address, { code: ECHO }, 3000);
    await client.close();
    expect(second).rejects.toThrow("connection closed (client closed)");
    expect(client.invoke(address, { code: ECHO }, 3000)).rejects.toThrow("client is closed");
  });

  test("an idle connection is closed", async () => {
    const closed: string[] = [];
    const client = createRemotingClient({
      idleSeconds: 0.2,
      onClose: (_connection, _at, reason) => closed.push(reason),
    });
    await client.invoke(address, { code: ECHO }, 3000);
    await until(() => closed.length > 0);
    expect(closed).toEqual(["idle: no traffic for 0.2 s"]);
    await client.close();
  });
});

test("names and IPv6 addresses", async () => {
  const opened: Connection[] = [];
  const six = await createRemotingServer({
    hostname: "::1",
    port: 0,
    processors,
    onOpen: (connection) => opened.push(connection),
  });
  const client = createRemotingClient();
  expect((await client.invoke(`[::1]:${six.port}`, { code: ECHO }, 3000)).code).toBe(0);
  expect((await client.invoke(`localhost:${server.port}`, { code: ECHO }, 3000)).code).toBe(0);
  expect(opened[0]!.remoteAddress).toStartWith("[::1]:");
  expect(opened[0]!.remoteHost.length).toBe(20);
  await client.close();
  await six.close(100);
});
