import { ApiError, type Session } from '@godwit/client';
import type { ApiObject, LogsApi } from './api.ts';

const SERVICE = 'coriolis-logger';

/** The logs of an installation, found by the catalog. */
export class LogsClient implements LogsApi {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async names(): Promise<string[]> {
    const { logs } = (await (await this.#session.read(SERVICE, '/logs/')).json()) as { logs: { log_name: string }[] };
    return logs.map((log) => log.log_name).sort();
  }

  async content(name: string, query: { start_date?: number; end_date?: number }): Promise<AsyncIterable<Uint8Array>> {
    const words = Object.entries(query).map(([key, value]) => `${key}=${value}`);
    const response = await this.#session.read(SERVICE, `/logs/${encodeURIComponent(name)}/?${words.join('&')}`);
    return response.body ?? new ReadableStream<Uint8Array>({ start: (empty) => empty.close() });
  }

  async *follow(query: { app_name?: string; severity: number }, signal: AbortSignal): AsyncGenerator<ApiObject> {
    const words = new URLSearchParams({ severity: String(query.severity) });
    if (query.app_name !== undefined) words.set('app_name', query.app_name);
    const root = (await this.#session.endpoint(SERVICE)).replace(/^http/, 'ws');
    const socket = new WebSocket(`${root}/ws?${words}`, { headers: { 'x-auth-token': await this.#session.token() } });
    const close = () => socket.close();
    signal.addEventListener('abort', close);
    try {
      yield* messagesOf(socket, signal);
    } finally {
      signal.removeEventListener('abort', close);
      socket.close();
    }
  }
}

/** Until it is closed; by whom, decides whether that is an end or a failure. */
async function* messagesOf(socket: WebSocket, signal: AbortSignal): AsyncGenerator<ApiObject> {
  const waiting: ApiObject[] = [];
  let ended: string | undefined;
  let wake: (() => void) | undefined;
  socket.addEventListener('message', ({ data }) => {
    waiting.push(JSON.parse(String(data)) as ApiObject);
    wake?.();
  });
  socket.addEventListener('close', ({ code, reason }) => {
    ended = reason || `code ${code}`;
    wake?.();
  });
  for (;;) {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) yield next;
    if (ended !== undefined) break;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  if (!signal.aborted) {
    throw new ApiError(`The stream of logs has ended: ${ended}.`, {
      status: 0,
      remedy: 'Only administrators read logs; else start the command again.',
    });
  }
}
