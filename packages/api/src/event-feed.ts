import {
  type Db,
  EVENT_CHANNEL,
  type EventCursor,
  hasEventsAfter,
  type Listener,
  lastEvent,
  listen,
  readEvents,
  type StoredEvent,
} from '@godwit/store';
import type { FastifyBaseLogger } from 'fastify';

/** Milliseconds between looks at the table when nothing was announced. */
const LOOK = 5_000;
/** Milliseconds after which an event that is held back is looked for again: first, and at most. */
const RETRY = { first: 10, most: 500 };

/** Takes events in order; must not wait. */
export type Subscriber = (events: readonly StoredEvent[]) => void;

/**
 * New events, read once for all streams. It follows the table by the announcements of one listening connection; what was
 * lost with the connection it finds by looking.
 */
export class EventFeed {
  readonly #db: Db;
  readonly #log: FastifyBaseLogger;
  readonly #subscribers = new Set<Subscriber>();
  readonly #url: string;
  #listener: Listener | undefined;
  #cursor: EventCursor | undefined;
  #begun: Promise<void> | undefined;
  #reading = false;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #retry = RETRY.first;
  #closed = false;

  constructor(db: Db, url: string, log: FastifyBaseLogger) {
    this.#db = db;
    this.#url = url;
    this.#log = log;
  }

  /** Streams at present. */
  get size(): number {
    return this.#subscribers.size;
  }

  /** Begins to give events that turn up from now on. Returns the way out. */
  async subscribe(subscriber: Subscriber): Promise<() => void> {
    this.#listener ??= listen(this.#url, [EVENT_CHANNEL], {
      onNotify: () => this.#look(),
      onListening: () => this.#look(),
      onError: (error) => this.#log.warn({ err: error }, 'the event feed lost the database'),
    });
    await this.#begin();
    this.#subscribers.add(subscriber);
    if (this.#timer === undefined) this.#later(LOOK);
    return () => {
      this.#subscribers.delete(subscriber);
    };
  }

  /** Finds its place once, however many come at the same time: found again later it would pass over what lies between. */
  #begin(): Promise<void> {
    this.#begun ??= lastEvent(this.#db).then(
      (cursor) => {
        this.#cursor = cursor;
      },
      (error: unknown) => {
        this.#begun = undefined;
        throw error;
      },
    );
    return this.#begun;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#subscribers.clear();
    await this.#listener?.close();
  }

  #later(delay: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.#look(), delay);
    this.#timer.unref();
  }

  #look(): void {
    if (this.#closed || this.#cursor === undefined) return;
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    this.#read().then(
      (delay) => this.#ended(delay),
      (error: unknown) => {
        if (!this.#closed) this.#log.warn({ err: error }, 'the event feed could not read');
        this.#ended(LOOK);
      },
    );
  }

  #ended(delay: number): void {
    this.#reading = false;
    if (this.#again) {
      this.#again = false;
      this.#look();
    } else {
      this.#later(delay);
    }
  }

  /** Reads all there is; answers when to look again. */
  async #read(): Promise<number> {
    for (;;) {
      const events = await readEvents(this.#db, undefined, this.#cursor!);
      const last = events.at(-1);
      if (last === undefined) break;
      this.#cursor = { xid: last.xid, id: last.id };
      this.#retry = RETRY.first;
      for (const subscriber of this.#subscribers) subscriber(events);
    }
    if (!(await hasEventsAfter(this.#db, this.#cursor!))) return LOOK;
    // Committed, but an older transaction is still under way.
    const delay = this.#retry;
    this.#retry = Math.min(this.#retry * 2, RETRY.most);
    return delay;
  }
}
