import { type EventCursor, readEvents, type Scope, type StoredEvent } from '@godwit/store';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, scopeOf } from '../context.ts';
import type { EventFeed } from '../event-feed.ts';
import { EVENT_READERS, type EventReaders } from '../event-readers.ts';
import { single } from '../list-query.ts';
import { badRequest } from '../request-error.ts';
import { Query } from '../schemas/params.ts';
import { cursorOf, eventMessage } from '../wire/event.ts';

/** Events that may wait for a slow reader before it is sent away; it comes back with Last-Event-ID. */
const MOST_WAITING = 5_000;

export function eventRoutes(app: App, { db, config }: ApiContext, feed: EventFeed, readers: EventReaders): void {
  const streams = new Set<EventStream>();
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.end();
  });

  app.get(
    '/events',
    {
      schema: {
        operationId: 'followEvents',
        summary: 'What happens, as server-sent events',
        description: `From now on, or after the event named by the Last-Event-ID header (or last_event_id): then nothing is left out, however long the gap. Comments keep the connection alive. It ends with the token. Only events of the project; administrators see all. At most ${EVENT_READERS.all} readers at a time, ${EVENT_READERS.project} of a project, ${EVENT_READERS.user} of a user; one more is answered 503 (BUSY).`,
        tags: ['events'],
        querystring: Query({
          last_event_id: 'In place of the header; 0: from the oldest event that is kept',
          type: 'Only these types, separated by commas; "execution" stands for all that begin so',
          object_id: 'Only events of this object',
        }),
        produces: ['text/event-stream'],
        response: { 200: Type.String({ description: 'text/event-stream' }) },
      },
    },
    async (request, reply) => {
      const scope = scopeOf(request);
      const named = request.headers['last-event-id'] ?? single(request.query, 'last_event_id');
      const after = startOf(Array.isArray(named) ? named[0] : named);
      const wanted = filterOf(single(request.query, 'type'), single(request.query, 'object_id'));
      // Who asks for the head alone would wait for an end that never comes.
      if (request.method === 'HEAD') return reply.type('text/event-stream; charset=utf-8').send('');
      const leave = readers.enter(callerOf(request));
      const stream = new EventStream(reply, {
        scope,
        wanted,
        heartbeat: config.eventHeartbeatMs ?? 15_000,
        mayStay: () => request.stillAllowed(),
      });
      streams.add(stream);
      try {
        await stream.run(feed, after, (from) => readEvents(db, scope, from));
      } finally {
        streams.delete(stream);
        leave();
      }
      return reply;
    },
  );
}

type Filter = (event: StoredEvent) => boolean;

function startOf(id: string | undefined): EventCursor | undefined {
  if (id === undefined || id === '') return undefined;
  if (id === '0') return { xid: '0', id: 0 };
  const cursor = cursorOf(id);
  if (cursor === undefined) throw badRequest(`Invalid Last-Event-ID: ${id}`);
  return cursor;
}

function filterOf(types: string | undefined, objectId: string | undefined): Filter {
  const words = types?.split(',').filter((word) => word !== '');
  return (event) =>
    (objectId === undefined || event.object_id === objectId) &&
    (words === undefined || words.some((word) => event.type === word || event.type.startsWith(`${word}.`)));
}

interface Reader {
  scope: Scope;
  wanted: Filter;
  /** Milliseconds between comments, and between questions whether the reader may stay. */
  heartbeat: number;
  mayStay: () => Promise<boolean>;
}

/** One reader: first what it missed, from the table, then what the feed gives, without a gap or a double between. */
class EventStream {
  readonly #reply: FastifyReply;
  readonly #reader: Reader;
  #waiting: StoredEvent[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(reply: FastifyReply, reader: Reader) {
    this.#reply = reply;
    this.#reader = reader;
  }

  async run(
    feed: EventFeed,
    after: EventCursor | undefined,
    read: (from: EventCursor) => Promise<StoredEvent[]>,
  ): Promise<void> {
    // The feed first: what happens while the past is read waits.
    const leave = await feed.subscribe((events) => this.#take(events));
    const raw = this.#reply.raw;
    raw.on('close', () => this.end());
    raw.on('drain', () => this.#wake?.());
    if (raw.destroyed) this.end();
    const beat = setInterval(() => void this.#beat(), this.#reader.heartbeat);
    try {
      this.#reply.hijack();
      raw.writeHead(200, {
        ...(this.#reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        // Kept alive after its end, the socket would hold up the server's.
        connection: 'close',
        'x-accel-buffering': 'no',
      });
      raw.write('retry: 1000\n: godwit\n\n');
      const reached = after === undefined ? undefined : await this.#past(after, read);
      await this.#present(reached);
    } catch (error) {
      this.#reply.log.warn({ err: error }, 'an event stream broke');
    } finally {
      clearInterval(beat);
      leave();
      // One that does not read would never be rid of: its connection would outlive its place. It can go on where it was.
      if (raw.writableNeedDrain) raw.destroy();
      else raw.end();
    }
  }

  async #past(after: EventCursor, read: (from: EventCursor) => Promise<StoredEvent[]>): Promise<EventCursor> {
    let from = after;
    while (!this.#ended) {
      const events = await read(from);
      const last = events.at(-1);
      if (last === undefined) break;
      await this.#send(events);
      from = { xid: last.xid, id: last.id };
    }
    return from;
  }

  async #present(reached: EventCursor | undefined): Promise<void> {
    while (!this.#ended) {
      if (this.#waiting.length === 0) {
        await this.#woken();
        continue;
      }
      const events = this.#waiting;
      this.#waiting = [];
      await this.#send(reached === undefined ? events : events.filter((event) => isAfter(event, reached)));
    }
  }

  async #send(events: readonly StoredEvent[]): Promise<void> {
    const text = events.filter(this.#reader.wanted).map(eventMessage).join('');
    if (text === '' || this.#ended) return;
    const raw = this.#reply.raw;
    raw.write(text);
    while (raw.writableNeedDrain && !this.#ended) await this.#woken();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #take(events: readonly StoredEvent[]): void {
    const { scope } = this.#reader;
    const mine = events.filter(
      (event) => scope === undefined || event.project_id === null || event.project_id === scope,
    );
    this.#waiting.push(...mine);
    if (this.#waiting.length > MOST_WAITING) this.end();
    this.#wake?.();
  }

  async #beat(): Promise<void> {
    if (!(await this.#reader.mayStay())) {
      this.end();
      return;
    }
    if (!this.#ended && !this.#reply.raw.writableNeedDrain) this.#reply.raw.write(': beat\n\n');
  }

  /** Sends the reader away. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }
}

function isAfter(event: EventCursor, cursor: EventCursor): boolean {
  const [mine, its] = [BigInt(event.xid), BigInt(cursor.xid)];
  return mine > its || (mine === its && event.id > cursor.id);
}
