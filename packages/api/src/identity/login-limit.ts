import { GodwitError } from '@godwit/domain';

/** Failed logins that one name from one address may have within the window. */
const MOST_FAILURES = 5;
/** Milliseconds. */
const WINDOW = 60_000;
/** Names and addresses remembered; above it the oldest are forgotten. */
const MOST_KEYS = 10_000;
/** Password checks at the same time; each takes about 16 MiB and a thread. */
const MOST_CHECKS = 4;
/** Checks that may wait. */
const MOST_WAITING = 32;

/**
 * Slows down guessing: five failures of a name from an address within a minute close that door until the minute is over.
 * By address too, so that a stranger cannot lock an operator out. Lives in this process.
 */
export class LoginLimit {
  readonly #clock: () => Date;
  readonly #failures = new Map<string, number[]>();
  #checking = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: () => Date) {
    this.#clock = clock;
  }

  /**
   * Runs one password check for `name` from `address`; `undefined` from it counts as a failure.
   *
   * @throws GodwitError TOO_MANY_LOGINS
   */
  async check<T>(name: string, address: string, verify: () => Promise<T | undefined>): Promise<T | undefined> {
    const key = `${address} ${name}`;
    this.#refuse(key, name);
    await this.#turn();
    try {
      // Others may have failed while this one waited.
      this.#refuse(key, name);
      const result = await verify();
      if (result === undefined) this.#failed(key);
      else this.#failures.delete(key);
      return result;
    } finally {
      this.#checking--;
      this.#waiting.shift()?.();
    }
  }

  #refuse(key: string, name: string): void {
    const now = this.#clock().getTime();
    const recent = (this.#failures.get(key) ?? []).filter((at) => now - at < WINDOW);
    if (recent.length < MOST_FAILURES) return;
    const seconds = Math.ceil((recent[0]! + WINDOW - now) / 1_000);
    throw new GodwitError('TOO_MANY_LOGINS', name, { seconds });
  }

  #failed(key: string): void {
    const now = this.#clock().getTime();
    const recent = (this.#failures.get(key) ?? []).filter((at) => now - at < WINDOW);
    this.#failures.delete(key);
    this.#failures.set(key, [...recent, now]);
    if (this.#failures.size > MOST_KEYS) {
      const oldest = this.#failures.keys().next().value;
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
  }

  async #turn(): Promise<void> {
    if (this.#checking >= MOST_CHECKS) {
      if (this.#waiting.length >= MOST_WAITING) throw new GodwitError('TOO_MANY_LOGINS', 'everybody', { seconds: 1 });
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#checking++;
  }
}
