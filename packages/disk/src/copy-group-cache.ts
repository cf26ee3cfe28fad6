import type { CheckpointStore, LeafGroup } from './checkpoint-store.ts';
import { fillGroup, type LeafLayout } from './leaf-table.ts';

/** Groups read in one call, at most: 512 KiB. */
const BATCH = 16;

/** The groups of the window in memory: what the target is known to hold, as committed or being committed. */
export class GroupCache {
  readonly #store: CheckpointStore;
  readonly #layout: LeafLayout;
  readonly #zeroedEnd: number;
  readonly #groups = new Map<number, { group: LeafGroup; users: number }>();
  /** Answers of the last batch, null where there is no row. */
  #batch = new Map<number, LeafGroup | null>();

  constructor(store: CheckpointStore, layout: LeafLayout, zeroedEnd: number) {
    this.#store = store;
    this.#layout = layout;
    this.#zeroedEnd = zeroedEnd;
  }

  /** Puts a changed group in that is not committed yet; it stays until settle(). */
  put(group: LeafGroup): void {
    this.#groups.set(group.group, { group, users: 0 });
  }

  /** The groups that were put in are committed now. */
  settle(): void {
    for (const [number, { users }] of this.#groups) if (users === 0) this.#groups.delete(number);
  }

  /**
   * The group, read together with those that are wanted next when it is not here: a store may be busy with a commit, so each
   * call may wait.
   *
   * @param wanted ascending numbers of groups, this one among them
   * @returns null when it has no row and is known to hold zeroes: materialise it with hold() only when that changes
   */
  async load(number: number, wanted: readonly number[]): Promise<LeafGroup | null> {
    const held = this.#groups.get(number);
    if (held) return held.group;
    if (!this.#batch.has(number)) {
      const last = wanted.findLast((group) => group < number + BATCH) ?? number;
      const count = Math.max(1, last - number + 1);
      // The row of a group that is held now may be read from before its commit: it must not be found here once that
      // group is released, so it is left to a later read.
      const older = new Set(this.#groups.keys());
      const rows = await this.#store.readGroups(number, count);
      this.#batch = new Map();
      for (let i = number; i < number + count; i++) if (!older.has(i)) this.#batch.set(i, null);
      for (const row of rows) if (this.#batch.has(row.group)) this.#batch.set(row.group, row);
    }
    const row = this.#batch.get(number);
    if (!row && this.#layout.absentIsZero(number, this.#zeroedEnd)) return null;
    return fillGroup(this.#layout, number, row ?? undefined, this.#zeroedEnd);
  }

  /** Keeps the group for one item; `loaded` is what load() gave. */
  hold(number: number, loaded: LeafGroup | null): LeafGroup {
    let entry = this.#groups.get(number);
    if (!entry) {
      const group = loaded ?? fillGroup(this.#layout, number, undefined, this.#zeroedEnd);
      entry = { group, users: 0 };
      this.#groups.set(number, entry);
      // The batch holds the state before this item: a later load() must not see it once the item is recorded.
      this.#batch.delete(number);
    }
    entry.users++;
    return entry.group;
  }

  /** One item of the group is recorded and committed. */
  release(number: number): void {
    const entry = this.#groups.get(number);
    if (!entry) return;
    entry.users--;
    if (entry.users <= 0) this.#groups.delete(number);
  }
}
