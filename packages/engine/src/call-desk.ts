import { randomUUID } from 'node:crypto';
import { type ErrorData, GodwitError } from '@godwit/domain';
import { type Db, HEARTBEAT_LIMIT_MS, type PublicEndpoint, toJson } from '@godwit/store';
import { sql } from 'kysely';
import type { Logger } from 'pino';
import { ANSWER_CHANNEL, CALL_CHANNEL, GIVE_UP_CHANNEL } from './contract.ts';
import { Listener } from './listener.ts';
import type { CallOptions, ProviderCalls, ProviderMethod } from './provider-call.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
/** Looked for in case a notice was lost. */
const LOOK_MS = 1_000;

/** Where calls to workers are waited for: one listening connection for all of them. */
export interface CallDesk {
  /** Resolves at the next word about this call, after `ms`, or when the desk closes or the caller gives up. */
  wait(id: string, ms: number, signal: AbortSignal): Promise<void>;
  readonly closed: AbortSignal;
  close(): Promise<void>;
}

export async function openCallDesk(options: { databaseUrl: string; log: Logger }): Promise<CallDesk> {
  const waiting = new Map<string, () => void>();
  const closing = new AbortController();
  const listener = await Listener.start({
    ...options,
    name: 'godwit-call-desk',
    channels: { [ANSWER_CHANNEL]: (id) => waiting.get(id)?.() },
    onConnect: async () => {
      for (const wake of waiting.values()) wake();
    },
  });
  return {
    closed: closing.signal,
    wait: (id, ms, signal) =>
      new Promise<void>((resolve) => {
        const any = AbortSignal.any([signal, closing.signal]);
        const timer = setTimeout(finish, ms);
        function finish(): void {
          clearTimeout(timer);
          any.removeEventListener('abort', finish);
          waiting.delete(id);
          resolve();
        }
        waiting.set(id, finish);
        any.addEventListener('abort', finish);
        if (any.aborted) finish();
      }),
    close: async () => {
      closing.abort();
      await listener.close();
    },
  };
}

/** Puts a call where workers look, and waits for its answer. See `EngineClient.callProvider`. */
export async function askWorker<M extends ProviderMethod>(
  desk: CallDesk,
  db: Db,
  endpoint: PublicEndpoint,
  method: M,
  args: ProviderCalls[M]['args'],
  options: CallOptions,
): Promise<ProviderCalls[M]['result']> {
  const what = `endpoint ${endpoint.name}`;
  if (!(await isServed(db, endpoint))) throw new GodwitError('NO_WORKER', what);
  const id = randomUUID();
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const until = performance.now() + timeoutMs;
  const signal = options.signal ?? new AbortController().signal;
  const ask = (): Promise<unknown> =>
    sql`
    with call as (
      insert into engine.provider_call (id, endpoint_id, method, args, expires_at)
      values (${id}, ${endpoint.id}, ${method}, ${toJson(args)},
        clock_timestamp() + ${until - performance.now()} * interval '1 ms'))
    select pg_notify(${CALL_CHANNEL}, ${id})`.execute(db);
  await ask();
  for (;;) {
    await desk.wait(id, Math.max(1, Math.min(LOOK_MS, until - performance.now())), signal);
    const gone = signal.aborted || desk.closed.aborted;
    const answer = gone ? undefined : await takeAnswer(db, id);
    if (answer?.state === 'done') {
      if (answer.error !== null) throw GodwitError.fromData(answer.error);
      return answer.result as ProviderCalls[M]['result'];
    }
    if (gone || performance.now() >= until) {
      await giveUp(db, id);
      if (gone) throw new GodwitError('CANCELED', `${method} of ${what}`);
      throw new GodwitError('CONNECTION_FAILED', what, { reason: `no answer within ${timeoutMs / 1000} s` });
    }
    if (!(await isServed(db, endpoint))) {
      await giveUp(db, id);
      throw new GodwitError('NO_WORKER', what);
    }
    // A crash of Postgres has emptied the table; nothing was changed by the call, so it is simply asked again.
    if (answer === undefined) await ask();
  }
}

interface Answer {
  state: string;
  result: unknown;
  error: ErrorData | null;
}

/** The state of the call; one that is done is removed. Undefined: a crash of Postgres has lost it. */
async function takeAnswer(db: Db, id: string): Promise<Answer | undefined> {
  const done = await sql<Answer>`
    delete from engine.provider_call where id = ${id} and state = 'done' returning state, result, error`.execute(db);
  if (done.rows[0] !== undefined) return done.rows[0];
  const open = await sql<Answer>`
    select state, result, error from engine.provider_call where id = ${id}`.execute(db);
  return open.rows[0];
}

async function giveUp(db: Db, id: string): Promise<void> {
  await sql`
    with gone as (delete from engine.provider_call where id = ${id})
    select pg_notify(${GIVE_UP_CHANNEL}, ${id})`.execute(db);
}

/** True when an enabled worker that is UP has the endpoint's provider and reaches one of its regions. */
async function isServed(db: Db, endpoint: PublicEndpoint): Promise<boolean> {
  const { rows } = await sql<{ served: boolean }>`
    select exists (
      select from service
      where deleted_at is null and enabled and jsonb_exists(providers, ${endpoint.type})
        and heartbeat_at > clock_timestamp() - ${HEARTBEAT_LIMIT_MS} * interval '1 ms'
        and (${endpoint.mapped_regions.length} = 0 or exists (
          select from region_mapping
          where object_type = 'service' and object_id = service.id and region_id = any(${endpoint.mapped_regions}))))
      as served`.execute(db);
  return rows[0]?.served === true;
}
