/**
 * Watches abort signals for many short requests: one listener per signal instead of one per request, because adding and
 * removing a listener costs more than the rest of a request.
 */
export class AbortWatch<T> {
  readonly #onAbort: (item: T) => void;
  readonly #watched = new Map<AbortSignal, { items: Set<T>; listener: () => void }>();

  /** @param onAbort called once for each watched item when its signal aborts */
  constructor(onAbort: (item: T) => void) {
    this.#onAbort = onAbort;
  }

  watch(signal: AbortSignal, item: T): void {
    let entry = this.#watched.get(signal);
    if (entry === undefined) {
      const items = new Set<T>();
      const listener = () => {
        this.#watched.delete(signal);
        for (const each of [...items]) this.#onAbort(each);
      };
      entry = { items, listener };
      this.#watched.set(signal, entry);
      signal.addEventListener('abort', listener, { once: true });
      // Signals of single requests must not pile up; a handful of long-lived ones keeps its listener.
      if (this.#watched.size > 16) this.#sweep(signal);
    }
    entry.items.add(item);
  }

  forget(signal: AbortSignal, item: T): void {
    this.#watched.get(signal)?.items.delete(item);
  }

  /** Removes all listeners. */
  close(): void {
    for (const [signal, { listener }] of this.#watched) signal.removeEventListener('abort', listener);
    this.#watched.clear();
  }

  #sweep(keep: AbortSignal): void {
    for (const [signal, { items, listener }] of this.#watched) {
      if (items.size > 0 || signal === keep) continue;
      signal.removeEventListener('abort', listener);
      this.#watched.delete(signal);
    }
  }
}
