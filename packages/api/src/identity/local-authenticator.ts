import { type Db, findToken } from '@godwit/store';
import type { Authenticator, Caller } from './authenticator.ts';

/**
 * Milliseconds that an answer of the database is believed. A token revoked through another API process works at most this
 * much longer; one revoked through this process ends at once.
 */
const BELIEVED = 5_000;
/** Tokens remembered at most. */
const MOST = 10_000;

interface Known {
  caller: Caller;
  until: number;
}

/** Tokens of the local identity, remembered for a moment so that a burst of requests asks the database once. */
export class LocalAuthenticator implements Authenticator {
  readonly #db: Db;
  readonly #clock: () => Date;
  readonly #known = new Map<string, Known>();

  constructor(db: Db, clock: () => Date) {
    this.#db = db;
    this.#clock = clock;
  }

  async authenticate(token: string): Promise<Caller | undefined> {
    const now = this.#clock().getTime();
    const known = this.#known.get(token);
    if (known !== undefined && now < known.until && now < known.caller.expiresAt.getTime()) return known.caller;
    this.#known.delete(token);
    const owner = await findToken(this.#db, token);
    if (owner === undefined) return undefined;
    const caller: Caller = {
      userId: owner.userId,
      userName: owner.userName,
      projectId: owner.projectId,
      roles: owner.roles,
      expiresAt: owner.expiresAt,
    };
    if (this.#known.size >= MOST) this.#known.clear();
    this.#known.set(token, { caller, until: now + BELIEVED });
    return caller;
  }

  /** Forgets everything: users, projects or roles have changed. */
  forgetAll(): void {
    this.#known.clear();
  }

  /** Forgets a token that was revoked. */
  forget(token: string): void {
    this.#known.delete(token);
  }
}
