import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { appendEvent } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ADMIN_PASSWORD, ServedApi } from '../../api/test/served-api.ts';
import { ApiError, type Credentials, connectGodwit, type GodwitClient, type GodwitEvent } from '../src/index.ts';

let api: ServedApi;
let authUrl: string;
let client: GodwitClient;
let now = 0;
beforeAll(async () => {
  api = await ServedApi.start({ clock: () => new Date(Date.now() + now) });
  await api.app.listen({ host: '127.0.0.1', port: 0 });
  authUrl = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}/identity/v3`;
  client = await connectGodwit({ credentials: credentials() });
});
afterAll(() => api[Symbol.asyncDispose]());

const credentials = (more: Partial<Credentials> = {}): Credentials => ({
  authUrl,
  username: 'admin',
  password: ADMIN_PASSWORD,
  projectName: 'admin',
  ...more,
});

const refusal = async (work: Promise<unknown>): Promise<ApiError> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
};

describe('a client', () => {
  test('finds the API in the catalog and calls it with types', async () => {
    expect(client.endpoint).toBe(`${authUrl.replace('/identity/v3', '')}/v1/${api.admin.projectId}`);
    const { data } = await client.api.POST('/regions', { body: { region: { name: 'typed' } } });
    const id: string = data!.region.id;
    const shown = await client.api.GET('/regions/{region_id}', { params: { path: { region_id: id } } });
    expect(shown.data?.region.name).toBe('typed');
    const gone = await client.api.DELETE('/regions/{region_id}', { params: { path: { region_id: id } } });
    expect(gone.response.status).toBe(204);
    const { data: page } = await client.api.GET('/transfers', {
      params: { query: { limit: '5', sort_key: ['updated_at'], sort_dir: ['desc'] } },
    });
    expect(page?.transfers).toEqual([]);
  });

  test('uses a named endpoint without a project', async () => {
    const other = await connectGodwit({
      credentials: credentials(),
      endpoint: authUrl.replace('/identity/v3', '/v1/'),
    });
    expect((await other.api.GET('/providers')).data?.providers).toHaveProperty('folder');
  });

  test('signs in by user id, by token, and into the default project', async () => {
    const userId = await userIdOf();
    const byId = await connectGodwit({
      credentials: { authUrl, userId, password: ADMIN_PASSWORD, projectId: api.admin.projectId },
    });
    expect(await byId.session.projectId()).toBe(api.admin.projectId);
    const byToken = await connectGodwit({ credentials: { authUrl, token: api.admin.token, projectName: 'admin' } });
    expect(await byToken.session.projectId()).toBe(api.admin.projectId);
    const byDefault = await connectGodwit({ credentials: { authUrl, username: 'admin', password: ADMIN_PASSWORD } });
    expect(await byDefault.session.projectId()).toBe(api.admin.projectId);
  });

  test('renews a token that the server no longer takes, and sends the call again', async () => {
    const own = await connectGodwit({ credentials: credentials() });
    const first = await own.session.token();
    await sql`delete from auth_token`.execute(api.db);
    now += 10_000;
    const { data } = await own.api.POST('/regions', { body: { region: { name: 'after renewal' } } });
    expect(data?.region.name).toBe('after renewal');
    expect(await own.session.token()).not.toBe(first);
  });

  test('turns refusals into typed errors', async () => {
    const missing = await refusal(
      client.api.GET('/transfers/{transfer_id}', { params: { path: { transfer_id: 'nope' } } }),
    );
    expect(missing).toMatchObject({
      status: 404,
      code: 'NOT_FOUND',
      object: "Transfer with ID 'nope'",
      message: "NotFound: Transfer with ID 'nope' not found.",
      remedy: 'List the objects and check the id or name.',
    });
    expect(missing.requestId).toMatch(/^req-/);
    const password = await refusal(connectGodwit({ credentials: credentials({ password: 'wrong' }) }));
    expect(password).toMatchObject({ status: 401, code: 'UNAUTHORIZED' });
    const silent = await refusal(
      connectGodwit({ credentials: credentials({ authUrl: 'http://127.0.0.1:1/identity/v3' }) }),
    );
    expect(silent).toMatchObject({ status: 0, message: 'http://127.0.0.1:1/identity/v3/auth/tokens does not answer.' });
    const nowhere = await refusal(connectGodwit({ credentials: credentials({ region: 'Atlantis' }) }));
    expect(nowhere.message).toContain('The catalog has no public endpoint');
  });
});

describe('a follower of events', () => {
  const say = (n: number, type = 'task.updated') =>
    appendEvent(api.db, { projectId: null, type, objectType: 'task', objectId: 'x', payload: { n } });
  const collect = (events: AsyncIterable<GodwitEvent>, into: GodwitEvent[]) =>
    (async () => {
      for await (const event of events) into.push(event);
    })();
  const until = async (holds: () => boolean) => {
    for (const end = Date.now() + 30_000; !holds(); await sleep(10)) {
      if (Date.now() > end) throw new Error('never');
    }
  };

  test('sees each event once, in order, although its connection is cut again and again', async () => {
    await say(0);
    const seen: GodwitEvent[] = [];
    const stop = new AbortController();
    const done = collect(client.followEvents({ after: '0', types: ['task'], signal: stop.signal }), seen);
    await until(() => seen.length > 0);
    for (let n = 1; n <= 30; n++) {
      await say(n);
      if (n % 10 === 0) {
        await until(() => seen.length > n - 5);
        api.app.server.closeAllConnections();
      }
    }
    await until(() => seen.length >= 31);
    stop.abort();
    await done;
    expect(seen.map((event) => event.payload.n)).toEqual(Array.from({ length: 31 }, (_, n) => n));
    const [first] = seen as [GodwitEvent];
    expect(first).toMatchObject({ type: 'task.updated', object_type: 'task', object_id: 'x', project_id: null });
  });

  test('ends with the refusal when the place is none of the stream’s', async () => {
    const error = await refusal(collect(client.followEvents({ after: 'yesterday' }), []));
    expect(error).toMatchObject({ status: 400, code: 'BAD_REQUEST' });
  });

  test('ends at once when it is told to', async () => {
    const stop = new AbortController();
    const done = collect(client.followEvents({ signal: stop.signal }), []);
    await sleep(50);
    stop.abort();
    await done;
    const before = collect(client.followEvents({ signal: AbortSignal.abort() }), []);
    await before;
    expect(stop.signal.aborted).toBe(true);
  });
});

async function userIdOf(): Promise<string> {
  const row = await api.db
    .selectFrom('user_account')
    .select('id')
    .where('name', '=', 'admin')
    .executeTakeFirstOrThrow();
  return row.id;
}
