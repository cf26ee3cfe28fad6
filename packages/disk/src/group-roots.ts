import type { CheckpointStore } from './checkpoint-store.ts';
import { DIGEST_SIZE, GROUP_LEAVES, isUnknown, type LeafLayout } from './leaf-table.ts';
import { merkleRoot } from './merkle.ts';

/** Groups read in one call: 512 KiB. */
const BATCH = 16;

/**
 * Roots of full groups, computed while a run waits for disks and links: up to a millisecond for each, which would otherwise
 * follow the copy. 32 bytes a group: half a MiB for a disk of 1 TiB.
 */
export class GroupRoots {
  readonly #store: CheckpointStore;
  readonly #layout: LeafLayout;
  readonly #everything: boolean;
  readonly #roots = new Map<number, Uint8Array>();
  /** Groups that had no row. */
  readonly #absent = new Set<number>();
  /** Groups whose row is not, or may soon not be, what it was when the run began. */
  readonly #changed: Set<number>;
  /** What changed groups will hold once the last flush is recorded, and their roots. */
  readonly #foreseen = new Map<number, { leaves: Uint8Array; root: Uint8Array }>();
  /** Roots of changed groups as committed. */
  readonly #settled = new Map<number, Uint8Array>();
  /** Committed groups whose roots are still to be computed. */
  readonly #due = new Map<number, Uint8Array>();
  #computing = false;
  #stopped = false;

  /**
   * @param changed groups to leave out
   * @param everything roots of groups that the run changes are wanted too: nothing of them will be re-read
   */
  constructor(store: CheckpointStore, layout: LeafLayout, changed: Iterable<number>, everything = false) {
    this.#store = store;
    this.#layout = layout;
    this.#changed = new Set(changed);
    this.#everything = everything;
  }

  /** The root of a group that was not changed, when it is known. */
  get(group: number): Uint8Array | undefined {
    return this.#changed.has(group) ? undefined : this.#roots.get(group);
  }

  /** True when the group is known to have no row. */
  isAbsent(group: number): boolean {
    return this.#absent.has(group) && !this.#changed.has(group);
  }

  /** The root of a group's row as it is now, changed or not, when it is known. */
  now(group: number): Uint8Array | undefined {
    return this.get(group) ?? this.#settled.get(group);
  }

  /** Call it before the group's row is replaced. */
  forget(group: number): void {
    this.#changed.add(group);
    this.#roots.delete(group);
    this.#settled.delete(group);
    this.#due.delete(group);
  }

  /** Computes the roots that groups will have. Takes the tables over. Call it once a run at most, near its end: it keeps them. */
  async foresee(tables: Iterable<{ group: number; leaves: Uint8Array }>): Promise<void> {
    for (const { group, leaves } of tables) {
      if (this.#stopped) return;
      if (isWhole(leaves)) this.#foreseen.set(group, { leaves, root: merkleRoot(leaves) });
      await turn();
    }
  }

  /** The group's row was replaced by one with these leaves: its root is known when they were foreseen. */
  settle(group: number, leaves: Uint8Array): void {
    const foreseen = this.#foreseen.get(group);
    this.#foreseen.delete(group);
    if (foreseen && Buffer.compare(foreseen.leaves, leaves) === 0) this.#settled.set(group, foreseen.root);
  }

  /**
   * Computes the root of a group as committed just now, when there is time; the run changes it no more, or forgets it first.
   *
   * @param leaves looked at later, without a copy
   */
  finish(group: number, leaves: Uint8Array): void {
    if (this.#everything && this.now(group) === undefined) this.#due.set(group, leaves);
    if (!this.#computing) void this.#compute();
  }

  async #compute(): Promise<void> {
    this.#computing = true;
    for (const [group, leaves] of this.#due) {
      await turn();
      if (this.#stopped) break;
      if (this.#due.delete(group) && isWhole(leaves)) this.#settled.set(group, merkleRoot(leaves));
    }
    this.#computing = false;
  }

  /** Reads all rows. Ends early when stopped, and when the store fails: whoever needs the rows will learn why. */
  async gather(): Promise<void> {
    try {
      for (let first = 0; first < this.#layout.groupCount; first += BATCH) {
        const rows = await this.#store.readGroups(first, BATCH);
        const present = new Set(rows.map(({ group }) => group));
        for (let group = first; group < first + BATCH; group++) if (!present.has(group)) this.#absent.add(group);
        for (const { group, leaves } of rows) {
          if (!this.#changed.has(group) && isWhole(leaves)) this.#roots.set(group, merkleRoot(leaves));
          await turn();
          if (this.#stopped) return;
        }
        if (this.#stopped) return;
      }
    } catch {
      this.#stopped = true;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#foreseen.clear();
    this.#due.clear();
  }
}

/** Lets disks and links be served. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A full group without unknown leaves. */
function isWhole(leaves: Uint8Array): boolean {
  if (leaves.length !== GROUP_LEAVES * DIGEST_SIZE) return false;
  for (let at = 0; at < leaves.length; at += DIGEST_SIZE) if (isUnknown(leaves, at)) return false;
  return true;
}
