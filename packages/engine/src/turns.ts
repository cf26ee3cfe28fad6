/**
 * Bounds how much one worker asks of one endpoint at once: hundreds of instances may be validated side by side, and no
 * platform likes that.
 */
export class Turns {
  readonly #atOnce: number;
  readonly #taken = new Map<string, number>();
  readonly #waiting = new Map<string, (() => void)[]>();

  /** @param atOnce 1 and up */
  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Runs `work` when it is its turn. Rejects with the signal's reason when that comes first. */
  async take<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const taken = this.#taken.get(key) ?? 0;
    if (taken < this.#atOnce) this.#taken.set(key, taken + 1);
    else await this.#queue(key, signal);
    try {
      return await work();
    } finally {
      this.#pass(key);
    }
  }

  #queue(key: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const queue = this.#waiting.get(key) ?? [];
      this.#waiting.set(key, queue);
      const go = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        queue.splice(queue.indexOf(go), 1);
        reject(signal.reason as Error);
      };
      queue.push(go);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** The turn goes to who waits longest, or is free again. */
  #pass(key: string): void {
    const next = this.#waiting.get(key)?.shift();
    if (next !== undefined) {
      next();
      return;
    }
    this.#waiting.delete(key);
    const left = (this.#taken.get(key) ?? 1) - 1;
    if (left > 0) this.#taken.set(key, left);
    else this.#taken.delete(key);
  }
}
