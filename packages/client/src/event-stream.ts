import { ApiError } from './api-error.ts';

/** An event as the API tells it. */
export interface GodwitEvent {
  /** Its place in the stream: a later follower can begin after it. */
  id: string;
  /** ISO 8601, UTC. */
  at: string;
  /** `transfer.updated`, `execution.updated`, `task.updated`, `progress`, ... */
  type: string;
  project_id: string | null;
  object_type: string;
  object_id: string;
  payload: Record<string, unknown>;
}

export interface FollowOptions {
  /** Id of the last event seen: the stream goes on after it. `0`: from the oldest that is kept. Default: from now on. */
  after?: string;
  /** Only these types; `execution` stands for all that begin so. */
  types?: readonly string[];
  /** Only events of this object. */
  objectId?: string;
  /** Ends the stream. */
  signal?: AbortSignal;
}

/** Milliseconds before a lost stream is taken up again: first, and at most. */
const RECONNECT = { first: 200, most: 5_000 };

/** Opens the stream; rejects with ApiError when it is refused. */
export type OpenStream = (
  query: URLSearchParams,
  headers: Record<string, string>,
  signal?: AbortSignal,
) => Promise<Response>;

/**
 * Events in order, each once. A lost connection is taken up again where it was; a refusal (4xx) ends the stream with
 * ApiError. Ends when the signal aborts.
 */
export async function* followStream(open: OpenStream, options: FollowOptions = {}): AsyncGenerator<GodwitEvent> {
  const { signal } = options;
  const query = new URLSearchParams();
  if (options.types !== undefined && options.types.length > 0) query.set('type', options.types.join(','));
  if (options.objectId !== undefined) query.set('object_id', options.objectId);
  let after = options.after;
  let wait = RECONNECT.first;
  while (!signal?.aborted) {
    try {
      const headers: Record<string, string> = { accept: 'text/event-stream' };
      if (after !== undefined) headers['last-event-id'] = after;
      const response = await open(query, headers, signal);
      for await (const message of messages(response)) {
        wait = RECONNECT.first;
        after = message.id;
        yield JSON.parse(message.data) as GodwitEvent;
      }
    } catch (error) {
      if (signal?.aborted) return;
      const passes = error instanceof ApiError && (error.status === 0 || error.status >= 500);
      if (!passes) throw error;
    }
    await pause(wait, signal);
    wait = Math.min(wait * 2, RECONNECT.most);
  }
}

interface Message {
  id: string;
  data: string;
}

/** The messages of a stream; comments are passed over. A broken stream rejects with ApiError of status 0. */
async function* messages(response: Response): AsyncGenerator<Message> {
  const body = response.body;
  if (body === null) return;
  const decoder = new TextDecoder();
  let rest = '';
  let id = '';
  for await (const chunk of chunksOf(body)) {
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const data: string[] = [];
      for (const line of block.split('\n')) {
        if (line.startsWith('id: ')) id = line.slice(4);
        else if (line.startsWith('data: ')) data.push(line.slice(6));
      }
      if (data.length > 0) yield { id, data: data.join('\n') };
    }
  }
}

async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((cause: unknown) => {
        throw new ApiError('The event stream broke.', { status: 0 }, { cause });
      });
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
    // Nobody reads on: let the connection go. One that broke is gone already.
    await body.cancel().catch(() => undefined);
  }
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener('abort', done);
    if (signal?.aborted) done();
  });
}
