/** A call to a peer that brought no response. `address` is `host:port`. */
export class RemotingError extends Error {
  readonly address: string;

  constructor(message: string, address: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.address = address;
  }
}

/** No connection could be opened: the request was not sent. */
export class RemotingConnectError extends RemotingError {}

/** The connection broke, is full or is closed: the request may or may not have arrived. */
export class RemotingSendError extends RemotingError {}

/** The request left, no response came in time. */
export class RemotingTimeoutError extends RemotingError {}

/** Bytes that are no frame of the remoting protocol: the connection is closed, nothing is answered. */
export class FrameError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "FrameError";
  }
}
