import { errorText, MqError } from "../lib/base/errors.ts";

interface Place {
  brokerName: string;
  address: string;
}

interface Outcome<T> {
  done: T[];
  /** What failed and where, with what was done elsewhere; undefined when nothing did. */
  failure: MqError | undefined;
}

/**
 * Does something on one broker after another, also behind one that fails: a cluster half changed is named as such. `work` gives
 * undefined for a broker that it leaves alone.
 */
export async function onEach<P extends Place, T>(
  what: string,
  places: readonly P[],
  work: (place: P) => Promise<T | undefined>,
): Promise<Outcome<T>> {
  const done: T[] = [];
  const doneOn: string[] = [];
  const failed: string[] = [];
  for (const place of places) {
    const name = place.brokerName === place.address ? place.address : `${place.brokerName} (${place.address})`;
    try {
      const result = await work(place);
      if (result === undefined) continue;
      done.push(result);
      doneOn.push(name);
    } catch (error) {
      // The only broker's error speaks for itself.
      if (places.length === 1) throw error;
      failed.push(`${name}: ${errorText(error)}`);
    }
  }
  if (failed.length === 0) return { done, failure: undefined };
  const elsewhere = doneOn.length === 0 ? "done nowhere" : `done on ${doneOn.join(", ")}`;
  return { done, failure: new MqError(`${what} failed on ${failed.join("; on ")}; ${elsewhere}`) };
}
