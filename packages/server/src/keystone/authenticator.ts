import { createHash } from 'node:crypto';
import type { Authenticator, Caller } from '@godwit/api';
import type { KeystoneClient } from './client.ts';

/** Milliseconds that Keystone's word about a token is believed: a revoked one works at most this much longer. */
const BELIEVED = 60_000;
/** The same for a token that was refused: it spares Keystone a client that keeps trying. */
const REFUSED = 5_000;
/** Tokens remembered at most. */
const MOST = 10_000;

interface Known {
  caller: Promise<Caller | undefined>;
  until: number;
}

/** Tokens of a Keystone. Remembered by their hash, so that a dump of the memory holds none. */
export class KeystoneAuthenticator implements Authenticator {
  readonly #keystone: KeystoneClient;
  readonly #clock: () => number;
  readonly #known = new Map<string, Known>();

  constructor(keystone: KeystoneClient, clock: () => number = Date.now) {
    this.#keystone = keystone;
    this.#clock = clock;
  }

  async authenticate(token: string): Promise<Caller | undefined> {
    // Nothing that is no token of Keystone's can be one: no header tricks travel on.
    if (!/^[\w.=-]{8,4096}$/.test(token)) return undefined;
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined && this.#clock() < known.until) {
      const caller = await known.caller;
      if (caller === undefined || caller.expiresAt.getTime() > this.#clock()) return caller;
    }
    return this.#ask(key, token);
  }

  async #ask(key: string, token: string): Promise<Caller | undefined> {
    const entry: Known = { caller: this.#callerOf(token), until: this.#clock() + BELIEVED };
    if (this.#known.size >= MOST) this.#known.clear();
    this.#known.set(key, entry);
    try {
      const caller = await entry.caller;
      if (caller === undefined) entry.until = this.#clock() + REFUSED;
      return caller;
    } catch (error) {
      if (this.#known.get(key) === entry) this.#known.delete(key);
      throw error;
    }
  }

  async #callerOf(token: string): Promise<Caller | undefined> {
    const facts = await this.#keystone.validate(token);
    if (facts === undefined) return undefined;
    const expiresAt = new Date(facts.expires_at);
    if (!(expiresAt.getTime() > this.#clock())) return undefined;
    return {
      userId: facts.user.id,
      userName: facts.user.name,
      projectId: facts.project?.id ?? null,
      roles: (facts.roles ?? []).map((role) => role.name),
      expiresAt,
    };
  }
}
