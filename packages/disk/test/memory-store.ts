import type { CheckpointStore, CompletedRun, LeafGroup, ReplicaProgress, StoredReplica } from '../src/index.ts';
import { type Doom, doomed } from './volatile-disk.ts';

/** What a database holds; it survives the crash of those who use it. */
export class StoredTable {
  complete: CompletedRun | null = null;
  progress: ReplicaProgress | null = null;
  readonly groups = new Map<number, LeafGroup>();
  commits = 0;
}

/** A store over a {@link StoredTable} that dies at a chosen call: a fatal commit has happened or not, at random. */
export class DoomedStore implements CheckpointStore {
  readonly #table: StoredTable;
  readonly #doom: Doom;
  readonly #random: () => number;
  #busy = false;

  constructor(table: StoredTable, doom: Doom, random: () => number) {
    this.#table = table;
    this.#doom = doom;
    this.#random = random;
  }

  async load(): Promise<StoredReplica | null> {
    await this.#call();
    const { complete, progress } = this.#table;
    return complete || progress ? structuredClone({ complete, progress }) : null;
  }

  async readGroups(first: number, count: number): Promise<LeafGroup[]> {
    await this.#call();
    const found: LeafGroup[] = [];
    for (let i = first; i < first + count; i++) {
      const group = this.#table.groups.get(i);
      if (group) found.push(structuredClone(group));
    }
    return found;
  }

  async changedGroups(number: number): Promise<number[]> {
    await this.#call();
    return [...this.#table.groups.values()]
      .filter((group) => group.changedNo > number)
      .map((group) => group.group)
      .sort((a, b) => a - b);
  }

  async commit(progress: ReplicaProgress, groups: LeafGroup[]): Promise<void> {
    if (this.#busy) throw new Error('commits must not overlap');
    if (groups.length > 256) throw new Error('too many groups in one commit');
    this.#busy = true;
    const kept = structuredClone({ progress, groups });
    const fatal = this.#doom.strikes();
    if (!fatal || this.#random() < 0.5) {
      // The commit point lies somewhere between the call and its answer.
      if (!fatal) await new Promise<void>((resolve) => setImmediate(resolve));
      if (!fatal) this.#doom.check();
      this.#table.progress = kept.progress;
      for (const group of kept.groups) this.#table.groups.set(group.group, group);
      this.#table.commits++;
    }
    if (fatal) throw doomed();
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#busy = false;
    this.#doom.check();
  }

  async #call(): Promise<void> {
    if (this.#doom.strikes()) throw doomed();
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#doom.check();
  }
}
