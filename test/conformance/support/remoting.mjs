import { connect } from "node:net";

/** A frame: total length, header length with the serialization type (0, JSON) in its top byte, header, body. */
export function encode(header, body = Buffer.alloc(0)) {
  const json = Buffer.from(JSON.stringify(header));
  const frame = Buffer.alloc(8 + json.length + body.length);
  frame.writeInt32BE(4 + json.length + body.length, 0);
  frame.writeInt32BE(json.length, 4);
  json.copy(frame, 8);
  body.copy(frame, 8 + json.length);
  return frame;
}

/** One connection that speaks the remoting protocol with JSON headers; nothing of the product's own code is in it. */
export class RawConnection {
  #socket;
  #open = new Map();
  #buffer = Buffer.alloc(0);
  #opaque = 0;
  #failure;

  static async to(port, host = "127.0.0.1") {
    const connection = new RawConnection();
    const socket = connect(port, host);
    connection.#socket = socket;
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    socket.setNoDelay(true);
    socket.on("data", (chunk) => connection.#data(chunk));
    socket.on("error", (error) => connection.#end(error));
    socket.on("close", () => connection.#end(new Error("connection closed")));
    return connection;
  }

  #data(chunk) {
    let buffer = this.#buffer.length ? Buffer.concat([this.#buffer, chunk]) : chunk;
    while (buffer.length >= 4) {
      const length = buffer.readInt32BE(0);
      if (buffer.length < 4 + length) break;
      const headerLength = buffer.readInt32BE(4) & 0xffffff;
      const header = JSON.parse(buffer.toString("utf8", 8, 8 + headerLength));
      const body = Buffer.from(buffer.subarray(8 + headerLength, 4 + length));
      buffer = buffer.subarray(4 + length);
      if ((header.flag & 1) === 1) {
        this.#open.get(header.opaque)?.resolve({ ...header, body });
        this.#open.delete(header.opaque);
      }
    }
    this.#buffer = buffer;
  }

  #end(error) {
    this.#failure ??= error;
    for (const waiting of this.#open.values()) waiting.reject(error);
    this.#open.clear();
  }

  /** Sends one request; resolves with the response's header fields and body. */
  request(code, extFields = {}, body = Buffer.alloc(0)) {
    if (this.#failure) return Promise.reject(this.#failure);
    const opaque = ++this.#opaque;
    const header = {
      code,
      language: "JAVA",
      version: 477,
      opaque,
      flag: 0,
      serializeTypeCurrentRPC: "JSON",
      extFields,
    };
    return new Promise((resolve, reject) => {
      this.#open.set(opaque, { resolve, reject });
      this.#socket.write(encode(header, body));
    });
  }

  close() {
    this.#socket.destroy();
  }
}

/** A name server's cluster info (code 106) as its text. */
export async function clusterInfo(address) {
  const [host, port] = address.split(":");
  const connection = await RawConnection.to(Number(port), host);
  try {
    return (await connection.request(106)).body.toString("utf8");
  } finally {
    connection.close();
  }
}

/** Creates a topic at one broker (code 17) with this number of queues. */
export async function createTopic(port, topic, queues) {
  const connection = await RawConnection.to(port);
  const fields = {
    topic,
    defaultTopic: "TBW102",
    readQueueNums: `${queues}`,
    writeQueueNums: `${queues}`,
    perm: "6",
    topicFilterType: "SINGLE_TAG",
    topicSysFlag: "0",
    order: "false",
  };
  try {
    const { code, remark } = await connection.request(17, fields);
    if (code !== 0) throw new Error(`create topic ${topic}: code ${code}, ${remark}`);
  } finally {
    connection.close();
  }
}
