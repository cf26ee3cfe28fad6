import { RateBucket } from '@godwit/disk';
import type { Db } from '@godwit/store';

/** Which way bytes go: each has the whole limit. */
export type Direction = 'read' | 'write';

/** A limit that people set, by whose it is. */
export interface RateOwner {
  kind: 'transfer' | 'endpoint';
  id: string;
}

/** Key of an endpoint's limit among the settings: bytes per second and direction, over all transfers. */
export const endpointRateSetting = (endpointId: string): string => `rate_limit/endpoint/${endpointId}`;

interface Held {
  owner: RateOwner;
  bucket: RateBucket;
  users: number;
}

/**
 * The hard limits of this worker's copies: one bucket for each owner and direction, shared by all their disks. A limit that
 * is changed counts for copies under way within seconds.
 */
export class RateLimits {
  readonly #db: Db;
  readonly #held = new Map<string, Held>();

  constructor(db: Db) {
    this.#db = db;
  }

  /** Takes part in a limit until release(). */
  async acquire(owner: RateOwner, direction: Direction): Promise<{ bucket: RateBucket; release: () => void }> {
    const key = `${owner.kind}/${owner.id}/${direction}`;
    let held = this.#held.get(key);
    if (held === undefined) {
      held = { owner, bucket: new RateBucket(0), users: 0 };
      this.#held.set(key, held);
    }
    held.users += 1;
    const mine = held;
    mine.bucket.limit = await this.#limitOf(owner);
    let open = true;
    return {
      bucket: mine.bucket,
      release: () => {
        if (!open) return;
        open = false;
        mine.users -= 1;
        if (mine.users === 0) this.#held.delete(key);
      },
    };
  }

  /** Reads the limits again. To be called now and then. */
  async refresh(): Promise<void> {
    for (const held of [...this.#held.values()]) held.bucket.limit = await this.#limitOf(held.owner);
  }

  /** Bytes per second; 0: none. */
  async #limitOf(owner: RateOwner): Promise<number> {
    if (owner.kind === 'transfer') {
      const row = await this.#db.selectFrom('transfer').select('options').where('id', '=', owner.id).executeTakeFirst();
      return row?.options.rate_limit ?? 0;
    }
    const row = await this.#db
      .selectFrom('setting')
      .select('value')
      .where('key', '=', endpointRateSetting(owner.id))
      .executeTakeFirst();
    return typeof row?.value === 'number' ? row.value : 0;
  }
}
