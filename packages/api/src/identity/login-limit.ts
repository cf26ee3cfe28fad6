import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { GodwitError } from '@godwit/domain';

/** Failed logins that one account may have from one place within the window. */
const MOST_FAILURES = 5;
/** Milliseconds. */
const WINDOW = 60_000;
/**
 * Accounts and places remembered, about 300 bytes each; above it those whose last failure is oldest are forgotten. More than
 * can be checked within a window: nobody makes his own failures forgotten by failing as others.
 */
const MOST_KEYS = 20_000;
/** Password checks at the same time; each takes about 16 MiB and a thread. */
const MOST_CHECKS = 4;
/** Checks that may wait, and how many of them for one place. */
const MOST_WAITING = { all: 64, place: 32 };

/** Who tries to sign in from where. */
export interface Attempt {
  /** The same for the name and the id of an account; of an unknown one, what was given. */
  account: string;
  /** As the client named it, for the error. */
  name: string;
  /** IP address. */
  address: string;
}

interface Waiter {
  door: string;
  place: string;
  enter: () => void;
}

/**
 * Slows down guessing: five failures of an account from a place within a minute close that door until the minute is over.
 * By place too, so that a stranger cannot lock an operator out. Lives in this process.
 */
export class LoginLimit {
  readonly #clock: () => Date;
  readonly #failures = new Map<string, number[]>();
  /** Checks that run, by door. */
  readonly #running = new Map<string, number>();
  #checking = 0;
  readonly #waiting: Waiter[] = [];

  constructor(clock: () => Date) {
    this.#clock = clock;
  }

  /**
   * Runs one password check; `undefined` from it counts as a failure. As many run at once for a door as may still fail there.
   *
   * @throws GodwitError TOO_MANY_LOGINS
   */
  async check<T>({ account, name, address }: Attempt, verify: () => Promise<T | undefined>): Promise<T | undefined> {
    const place = placeOf(address);
    // Of one length, however long a name is.
    const door = createHash('sha256').update(`${place} ${account}`).digest('base64');
    this.#refuse(door, name);
    await this.#turn(door, place);
    try {
      // Others may have failed while this one waited.
      this.#refuse(door, name);
      const result = await verify();
      if (result === undefined) this.#failed(door);
      else this.#failures.delete(door);
      return result;
    } finally {
      this.#leave(door);
    }
  }

  #recent(door: string): number[] {
    const now = this.#clock().getTime();
    return (this.#failures.get(door) ?? []).filter((at) => now - at < WINDOW);
  }

  #refuse(door: string, name: string): void {
    const recent = this.#recent(door);
    if (recent.length < MOST_FAILURES) return;
    const seconds = Math.ceil((recent[0]! + WINDOW - this.#clock().getTime()) / 1_000);
    throw new GodwitError('TOO_MANY_LOGINS', name, { seconds });
  }

  #failed(door: string): void {
    const recent = this.#recent(door);
    this.#failures.delete(door);
    this.#failures.set(door, [...recent, this.#clock().getTime()]);
    if (this.#failures.size > MOST_KEYS) {
      const oldest = this.#failures.keys().next().value;
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
  }

  async #turn(door: string, place: string): Promise<void> {
    if (this.#checking < MOST_CHECKS && this.#mayEnter(door)) return this.#enter(door);
    const ofPlace = this.#waiting.filter((one) => one.place === place).length;
    if (this.#waiting.length >= MOST_WAITING.all || ofPlace >= MOST_WAITING.place) {
      throw new GodwitError('TOO_MANY_LOGINS', 'everybody', { seconds: 1 });
    }
    await new Promise<void>((resolve) => this.#waiting.push({ door, place, enter: resolve }));
  }

  /** At a closed door too: to be told so. */
  #mayEnter(door: string): boolean {
    const failed = this.#recent(door).length;
    return failed >= MOST_FAILURES || failed + (this.#running.get(door) ?? 0) < MOST_FAILURES;
  }

  #enter(door: string): void {
    this.#checking += 1;
    this.#running.set(door, (this.#running.get(door) ?? 0) + 1);
  }

  #leave(door: string): void {
    this.#checking -= 1;
    const running = (this.#running.get(door) ?? 1) - 1;
    if (running === 0) this.#running.delete(door);
    else this.#running.set(door, running);
    while (this.#checking < MOST_CHECKS) {
      const next = this.#waiting.findIndex((one) => this.#mayEnter(one.door));
      if (next < 0) return;
      for (const waiter of this.#waiting.splice(next, 1)) {
        this.#enter(waiter.door);
        waiter.enter();
      }
    }
  }
}

/** An address; of IPv6 the network of 64 bits, all of which one customer has. */
function placeOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const groups = [...first, ...Array.from({ length: missing }, () => '0'), ...last];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
