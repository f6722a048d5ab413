import { errorText } from "../base/errors.ts";
import type { RemotingClient, RemotingCommand, RemotingRequest } from "../remoting/types.ts";
import { ClientError } from "./broker-error.ts";
import { parseNamesrvAddr } from "./client-options.ts";

/**
 * The name servers of a client: one is kept, chosen at random; when it does not answer, the next one in the shuffled list takes over.
 */
export class NameServers {
  readonly #remoting: RemotingClient;
  readonly #addresses: string[];
  #current = 0;

  constructor(remoting: RemotingClient, namesrvAddr: string) {
    this.#remoting = remoting;
    this.#addresses = shuffle(parseNamesrvAddr(namesrvAddr));
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** The answer of the first one that answers, starting with the one in use, and who it was. Throws ClientError when none does. */
  async invoke(request: RemotingRequest, timeoutMs: number): Promise<{ response: RemotingCommand; address: string }> {
    let lastError: unknown;
    for (let i = 0; i < this.#addresses.length; i++) {
      const address = this.#addresses[this.#current % this.#addresses.length] ?? "";
      try {
        return { response: await this.#remoting.invoke(address, request, timeoutMs), address };
      } catch (error) {
        lastError = error;
        this.#current = (this.#current + 1) % this.#addresses.length;
      }
    }
    throw new ClientError(
      `reach a name server: none of ${this.#addresses.join(";")} answers: ${errorText(lastError)}; give another with -n host:port or NAMESRV_ADDR`,
      undefined,
      { cause: lastError },
    );
  }
}

function shuffle<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}
