import type { JsonObject } from '@godwit/domain';
import type { Ledger, LedgerEntry, LedgerKind } from '../provider.ts';

type Keep = 'execution' | 'transfer' | 'deployment' | 'forever';

interface Recorded {
  entry: LedgerEntry;
  made: boolean;
  keep: Keep;
}

/** Passes everything on to a ledger and remembers what is not removed yet. */
export class LedgerRecorder implements Ledger {
  readonly #inner: Ledger;
  readonly #live = new Map<string, Recorded>();

  constructor(inner: Ledger) {
    this.#inner = inner;
  }

  async intend(kind: LedgerKind, name: string, handle: JsonObject, keep: Keep = 'execution'): Promise<LedgerEntry> {
    const entry = await this.#inner.intend(kind, name, handle, keep);
    const id = nameOf(kind, name);
    const known = this.#live.get(id);
    if (known === undefined) this.#live.set(id, { entry, made: false, keep });
    else known.keep = keep;
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

  /** Those of them that belong to the user for good. */
  handedOver(): LedgerEntry[] {
    return [...this.#live.values()].filter(({ keep }) => keep === 'forever').map(({ entry }) => entry);
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
