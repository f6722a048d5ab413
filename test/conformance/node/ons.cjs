// Drives ali-ons: send and push-consume, printing "PASS check", "FAIL check reason" and at the end "DONE".
const { Consumer, Message, Producer } = require("ali-ons");

const [namesrv, run] = process.argv.slice(2);
const topic = `${run}-topic`;
const quiet = { info() {}, warn() {}, debug() {}, error: (error) => console.error(error) };
// The client insists on an HTTP client for address servers; with a name server's address given it asks none.
const httpclient = { request: () => Promise.reject(new Error("no address server in this suite")) };
const common = { nameSrv: namesrv, logger: quiet, httpclient };

function check(name, ok, found) {
  console.log(ok ? `PASS ${name}` : `FAIL ${name} ${String(found).replaceAll("\n", " ")}`);
}

async function until(condition) {
  const end = Date.now() + 60_000;
  while (!condition() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
}

async function main() {
  const producer = new Producer({ ...common, producerGroup: `${run}-producer` });
  producer.on("error", (error) => console.error(error));
  await producer.ready();
  check("producer-start", true);
  const wanted = [];
  const failed = [];
  for (let i = 0; i < 30; i++) {
    const body = `ons-${i} 世界`;
    wanted.push(body);
    const result = await producer.send(new Message(topic, i % 2 ? "odd" : "even", body)).catch((error) => error);
    if (result.sendStatus !== "SEND_OK") failed.push(result.message ?? JSON.stringify(result));
  }
  check("send", failed.length === 0, failed.join("; "));

  const consumer = new Consumer({
    ...common,
    consumerGroup: `${run}-group`,
    consumeFromWhere: "CONSUME_FROM_FIRST_OFFSET",
  });
  consumer.on("error", (error) => console.error(error));
  const received = [];
  const tags = new Set();
  consumer.subscribe(topic, "*", async (message) => {
    received.push(message.body.toString());
    tags.add(message.tags);
  });
  await consumer.ready();
  check("consumer-start", true);
  await until(() => received.length >= wanted.length);
  check(
    "push-consume",
    `${received.sort()}` === `${wanted.sort()}`,
    `${received.length} of ${wanted.length}: ${received}`,
  );
  check("tags", tags.size === 2, [...tags]);
  const last = `live ${Date.now()}`;
  await producer.send(new Message(topic, "odd", last));
  await until(() => received.includes(last));
  check("push-consume-live", received.includes(last), received);
  console.log("DONE");
  // How this client closes its sockets is its own affair.
  const closed = Promise.allSettled([consumer.close(), producer.close()]);
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 3000))]);
  process.exit(0);
}

main().catch((error) => {
  check("driver", false, error.stack);
  process.exit(1);
});
