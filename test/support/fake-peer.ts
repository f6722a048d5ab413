import { createRemotingServer } from "../../lib/remoting/server.ts";
import type { Processor, RemotingCommand, RemotingResponse } from "../../lib/remoting/types.ts";

export interface FakePeer {
  address: string;
  /** Every request, in order of arrival. */
  requests: RemotingCommand[];
  stop(): Promise<void>;
}

/** A remoting server that answers as `answers` says: a response, a function of the request, or nothing at all for undefined. */
export async function fakePeer(
  answers: Record<number, RemotingResponse | undefined | ((request: RemotingCommand) => RemotingResponse | undefined)>,
): Promise<FakePeer> {
  const requests: RemotingCommand[] = [];
  const entries = Object.entries(answers).map(([code, answer]): [number, { processor: Processor }] => [
    Number(code),
    {
      processor: (request) => {
        requests.push(request);
        return typeof answer === "function" ? answer(request) : answer;
      },
    },
  ]);
  const server = await createRemotingServer({ hostname: "127.0.0.1", port: 0, processors: new Map(entries) });
  return {
    address: `127.0.0.1:${server.port}`,
    requests,
    stop: () => server.close(0),
  };
}
