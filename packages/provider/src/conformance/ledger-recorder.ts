import type { JsonObject } from '@godwit/domain';
import type { Ledger, LedgerEntry, LedgerKind } from '../provider.ts';

interface Recorded {
  entry: LedgerEntry;
  made: boolean;
}

/** Passes everything on to a ledger and remembers what is not removed yet. */
export class LedgerRecorder implements Ledger {
  readonly #inner: Ledger;
  readonly #live = new Map<string, Recorded>();

  constructor(inner: Ledger) {
    this.#inner = inner;
  }

  async intend(
    kind: LedgerKind,
    name: string,
    handle: JsonObject,
    keep: 'execution' | 'transfer' | 'deployment' | 'forever' = 'execution',
  ): Promise<LedgerEntry> {
    const entry = await this.#inner.intend(kind, name, handle, keep);
    const id = nameOf(kind, name);
    if (!this.#live.has(id)) this.#live.set(id, { entry, made: false });
    return entry;
  }

  async made(entry: LedgerEntry, handle?: JsonObject): Promise<void> {
    await this.#inner.made(entry, handle);
    const known = this.#live.get(nameOf(entry.kind, entry.name));
    if (known === undefined) throw new Error(`${entry.kind} ${entry.name} was made without being announced`);
    known.made = true;
    if (handle !== undefined) known.entry = { ...known.entry, handle };
  }

  async removed(kind: LedgerKind, name: string): Promise<void> {
    await this.#inner.removed(kind, name);
    this.#live.delete(nameOf(kind, name));
  }

  /** What was announced and not removed, latest first: the order to remove it in. */
  live(): LedgerEntry[] {
    return [...this.#live.values()].map(({ entry }) => entry).reverse();
  }

  /** Forgets an entry that `remove` has done away with. */
  forget(entry: LedgerEntry): void {
    this.#live.delete(nameOf(entry.kind, entry.name));
  }
}

/** A ledger in memory, for tests and for checks outside a task. */
export class MemoryLedger implements Ledger {
  readonly #entries = new Map<string, LedgerEntry>();

  async intend(kind: LedgerKind, name: string, handle: JsonObject): Promise<LedgerEntry> {
    const id = nameOf(kind, name);
    const known = this.#entries.get(id);
    if (known !== undefined) return structuredClone(known);
    const entry = { id, kind, name, handle: structuredClone(handle) };
    this.#entries.set(id, entry);
    return structuredClone(entry);
  }

  async made(entry: LedgerEntry, handle?: JsonObject): Promise<void> {
    const known = this.#entries.get(nameOf(entry.kind, entry.name));
    if (known !== undefined && handle !== undefined) known.handle = structuredClone(handle);
  }

  async removed(kind: LedgerKind, name: string): Promise<void> {
    this.#entries.delete(nameOf(kind, name));
  }
}

function nameOf(kind: LedgerKind, name: string): string {
  return `${kind} ${name}`;
}
