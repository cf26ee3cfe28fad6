import type { CheckpointStore } from './checkpoint-store.ts';
import { DIGEST_SIZE, GROUP_LEAVES, isUnknown, type LeafLayout } from './leaf-table.ts';
import { merkleRoot } from './merkle.ts';

/** Groups read in one call: 512 KiB. */
const BATCH = 16;

/**
 * Roots of the full groups that a run leaves alone, computed while it waits for disks and links: a millisecond for each,
 * which would otherwise follow the copy. 32 bytes a group: half a MiB for a disk of 1 TiB.
 */
export class GroupRoots {
  readonly #store: CheckpointStore;
  readonly #layout: LeafLayout;
  readonly #roots = new Map<number, Uint8Array>();
  /** Groups whose row is not, or may soon not be, what it was when the run began. */
  readonly #changed: Set<number>;
  #stopped = false;

  /** @param changed groups to leave out */
  constructor(store: CheckpointStore, layout: LeafLayout, changed: Iterable<number>) {
    this.#store = store;
    this.#layout = layout;
    this.#changed = new Set(changed);
  }

  /** The root of a group that was not changed, when it is known. */
  get(group: number): Uint8Array | undefined {
    return this.#changed.has(group) ? undefined : this.#roots.get(group);
  }

  /** Call it before the group's row is replaced. */
  forget(group: number): void {
    this.#changed.add(group);
    this.#roots.delete(group);
  }

  /** Reads all rows. Ends early when stopped, and when the store fails: whoever needs the rows will learn why. */
  async gather(): Promise<void> {
    try {
      for (let first = 0; first < this.#layout.groupCount; first += BATCH) {
        for (const { group, leaves } of await this.#store.readGroups(first, BATCH)) {
          if (!this.#changed.has(group) && isWhole(leaves)) this.#roots.set(group, merkleRoot(leaves));
          await new Promise<void>((resolve) => setImmediate(resolve));
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
  }
}

/** A full group without unknown leaves. */
function isWhole(leaves: Uint8Array): boolean {
  if (leaves.length !== GROUP_LEAVES * DIGEST_SIZE) return false;
  for (let at = 0; at < leaves.length; at += DIGEST_SIZE) if (isUnknown(leaves, at)) return false;
  return true;
}
