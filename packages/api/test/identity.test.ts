import { insertUser } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ADMIN_PASSWORD, ServedApi, tokenBody } from './served-api.ts';

let api: ServedApi;
let now = Date.now();
beforeAll(async () => {
  api = await ServedApi.start({ config: { publicUrl: 'http://godwit.example:7000' }, clock: () => new Date(now) });
});
afterAll(() => api[Symbol.asyncDispose]());

const login = (payload: unknown, remoteAddress = '10.0.0.1') =>
  api.app.inject({ method: 'POST', url: '/identity/v3/auth/tokens', payload: payload as object, remoteAddress });
const scoped = { project: { name: 'tenant', domain: { name: 'Default' } } };

describe('a login', () => {
  test('gives a token and a document as Keystone would', async () => {
    const answer = await login(tokenBody('mona', 'member of tenant', scoped));
    expect(answer.statusCode).toBe(201);
    const token = String(answer.headers['x-subject-token']);
    expect(token).toMatch(/^[\w-]{43}$/);
    const body = answer.json().token;
    expect(Object.keys(body).sort()).toEqual(
      ['audit_ids', 'catalog', 'expires_at', 'is_domain', 'issued_at', 'methods', 'project', 'roles', 'user'].sort(),
    );
    expect(body.issued_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(Date.parse(body.expires_at) - Date.parse(body.issued_at)).toBe(43_200_000);
    expect(body).toMatchObject({
      methods: ['password'],
      user: { name: 'mona', domain: { id: 'default', name: 'Default' } },
      project: { id: api.member.projectId, name: 'tenant', domain: { id: 'default', name: 'Default' } },
      roles: [{ name: 'member' }],
    });
    const urls = body.catalog.map((service: { type: string; endpoints: { interface: string; url: string }[] }) => [
      service.type,
      service.endpoints.find((endpoint) => endpoint.interface === 'public')?.url,
    ]);
    expect(urls).toEqual([
      ['migration', `http://godwit.example:7000/v1/${api.member.projectId}`],
      ['coriolis-logger', 'http://godwit.example:7000/logs/api/v1'],
      ['identity', 'http://godwit.example:7000/identity/v3'],
    ]);
    const used = await api.app.inject({ url: '/v1/transfers', headers: { 'x-auth-token': token } });
    expect(used.statusCode).toBe(200);
  });

  test('is scoped by project id, by name, by default, or not at all', async () => {
    const { projectId } = api.member;
    const projectOf = async (scope?: unknown) => {
      const answer = await login(tokenBody('mona', 'member of tenant', scope));
      return [answer.statusCode, answer.json().token?.project?.id ?? null];
    };
    expect(await projectOf({ project: { id: projectId } })).toEqual([201, projectId]);
    expect(await projectOf(scoped)).toEqual([201, projectId]);
    expect(await projectOf()).toEqual([201, projectId]);
    expect(await projectOf('unscoped')).toEqual([201, null]);
    expect(await projectOf({ unscoped: {} })).toEqual([201, null]);
  });

  test('unscoped opens nothing but the identity service, where it is exchanged', async () => {
    const unscoped = String(
      (await login(tokenBody('mona', 'member of tenant', 'unscoped'))).headers['x-subject-token'],
    );
    expect((await api.app.inject({ url: '/v1/transfers', headers: { 'x-auth-token': unscoped } })).statusCode).toBe(
      401,
    );
    const projects = await api.app.inject({
      url: '/identity/v3/auth/projects',
      headers: { 'x-auth-token': unscoped },
    });
    expect(projects.json().projects).toMatchObject([{ id: api.member.projectId, name: 'tenant', enabled: true }]);
    const exchanged = await login({
      auth: { identity: { methods: ['token'], token: { id: unscoped } }, scope: scoped },
    });
    expect(exchanged.statusCode).toBe(201);
    expect(exchanged.json().token).toMatchObject({ methods: ['token'], project: { name: 'tenant' } });
  });

  test('is refused alike whatever is wrong with it', async () => {
    const wrong = [
      tokenBody('mona', 'not it', scoped),
      tokenBody('nobody', 'member of tenant', scoped),
      tokenBody('mona', 'member of tenant', { project: { name: 'admin', domain: { id: 'default' } } }),
      tokenBody('mona', 'member of tenant', { project: { id: 'no such' } }),
      tokenBody('mona', 'member of tenant', { system: { all: true } }),
      { auth: { identity: { methods: ['token'], token: { id: 'no such' } } } },
      { auth: { identity: { methods: ['oauth1'], oauth1: {} } } },
      {
        auth: {
          identity: { methods: ['password'], password: { user: { name: 'mona', domain: { id: 'x' }, password: 'y' } } },
        },
      },
    ];
    for (const [i, body] of wrong.entries()) {
      const answer = await login(body, `10.0.1.${i}`);
      expect(answer.statusCode).toBe(401);
      expect(answer.json()).toEqual({
        error: { code: 401, title: 'Unauthorized', message: 'The request you have made requires authentication.' },
      });
      expect(answer.headers).not.toHaveProperty('x-subject-token');
    }
  });

  test('of another shape is 400 and says what is missing', async () => {
    for (const body of [{}, { auth: 1 }, { auth: { identity: {} } }, { auth: { identity: { methods: [] } } }, []]) {
      const answer = await login(body);
      expect(answer.statusCode).toBe(400);
      expect(answer.json().error).toMatchObject({ code: 400, title: 'Bad Request' });
    }
    const nameless = await login({
      auth: { identity: { methods: ['password'], password: { user: { password: 'x' } } } },
    });
    expect(nameless.json().error.message).toContain('auth.identity.password.user.name');
  });

  test('is slowed down after five failures of a name from an address, there only and for a minute', async () => {
    const guess = (address: string, password = 'wrong') =>
      login(tokenBody('admin', password, undefined), address).then((answer) => answer.statusCode);
    for (let i = 0; i < 5; i++) expect(await guess('10.9.9.9')).toBe(401);
    const closed = await login(tokenBody('admin', ADMIN_PASSWORD), '10.9.9.9');
    expect(closed.statusCode).toBe(429);
    expect(Number(closed.headers['retry-after'])).toBeGreaterThan(0);
    expect(closed.json().error.title).toBe('Too Many Requests');
    expect(await guess('10.9.9.10', ADMIN_PASSWORD)).toBe(201);
    now += 61_000;
    expect(await guess('10.9.9.9', ADMIN_PASSWORD)).toBe(201);
  });
});

describe('guessing', () => {
  const answers = (body: unknown, addresses: string[]) =>
    Promise.all(addresses.map((address) => login(body, address).then((answer) => answer.statusCode)));
  const byId = (id: string, password: string) => ({
    auth: { identity: { methods: ['password'], password: { user: { id, password } } } },
  });

  test('counts an account once, whether it is named or given by its id', async () => {
    const { id } = await insertUser(api.db, { name: 'gina', password: 'right password' });
    for (let i = 0; i < 3; i++) expect(await answers(tokenBody('gina', 'wrong'), ['10.8.0.1'])).toEqual([401]);
    for (let i = 0; i < 2; i++) expect(await answers(byId(id, 'wrong'), ['10.8.0.1'])).toEqual([401]);
    expect(await answers(tokenBody('gina', 'right password'), ['10.8.0.1'])).toEqual([429]);
    expect(await answers(byId(id, 'right password'), ['10.8.0.1'])).toEqual([429]);
    expect(await answers(byId(id, 'right password'), ['10.8.0.2'])).toEqual([201]);
  });

  test('of one customer of IPv6 counts as from one place, whatever of his addresses he takes', async () => {
    await insertUser(api.db, { name: 'ida', password: 'right password' });
    const same = [
      '2001:db8:0:7::1',
      '2001:db8::7:a:b:c:d',
      '2001:0DB8:0000:0007::ffff',
      '2001:db8:0:7::2',
      '2001:db8:0:7::3',
    ];
    expect(await answers(tokenBody('ida', 'wrong'), same)).toEqual(same.map(() => 401));
    expect(await answers(tokenBody('ida', 'right password'), ['2001:db8:0:7:1:2:3:4'])).toEqual([429]);
    expect(await answers(tokenBody('ida', 'right password'), ['2001:db8:0:8::1'])).toEqual([201]);
    expect(
      await answers(
        tokenBody('ida', 'wrong'),
        Array.from({ length: 5 }, () => '::ffff:10.8.1.1'),
      ),
    ).not.toContain(429);
    expect(await answers(tokenBody('ida', 'right password'), ['10.8.1.1'])).toEqual([429]);
  });

  test('at once gets no more tries than one after the other, and does not hold up those who know', async () => {
    await insertUser(api.db, { name: 'rita', password: 'right password' });
    const [wrong, right] = await Promise.all([
      answers(
        tokenBody('rita', 'wrong'),
        Array.from({ length: 30 }, () => '10.8.2.1'),
      ),
      answers(
        tokenBody('rita', 'right password'),
        Array.from({ length: 20 }, () => '10.8.2.2'),
      ),
    ]);
    expect(wrong.filter((status) => status === 401)).toHaveLength(5);
    expect(wrong.filter((status) => status === 429)).toHaveLength(25);
    expect(right).toEqual(right.map(() => 201));
  });

  test('goes by the address that a trusted proxy tells, and by nobody else’s word', async () => {
    await using proxied = await ServedApi.start({ config: { trustedProxies: ['10.7.0.0/24'] } });
    const from = (address: string, told: string, password: string) =>
      proxied.app
        .inject({
          method: 'POST',
          url: '/identity/v3/auth/tokens',
          remoteAddress: address,
          headers: { 'x-forwarded-for': told },
          payload: tokenBody('mona', password),
        })
        .then((answer) => answer.statusCode);
    for (let i = 0; i < 5; i++) expect(await from('10.7.0.1', '192.0.2.1', 'wrong')).toBe(401);
    expect(await from('10.7.0.1', '192.0.2.1', 'member of tenant')).toBe(429);
    expect(await from('10.7.0.1', '192.0.2.2', 'member of tenant')).toBe(201);
    for (let i = 0; i < 5; i++) expect(await from('10.6.0.1', `192.0.2.${i + 10}`, 'wrong')).toBe(401);
    expect(await from('10.6.0.1', '192.0.2.20', 'member of tenant')).toBe(429);
  });

  test('with words longer than any name or password is refused before anything is kept of it', async () => {
    const long = 'x'.repeat(5_000);
    for (const body of [tokenBody(long, 'wrong'), tokenBody('mona', long), byId(long, 'wrong')]) {
      const answer = await login(body, '10.8.3.1');
      expect(answer.statusCode).toBe(400);
      expect(answer.body).not.toContain('xxxxx');
    }
  });
});

describe('a token', () => {
  const about = (method: 'GET' | 'DELETE', token: string, subject?: string) =>
    api.app.inject({
      method,
      url: '/identity/v3/auth/tokens',
      headers: { 'x-auth-token': token, ...(subject !== undefined && { 'x-subject-token': subject }) },
    });
  const fresh = async () =>
    String((await login(tokenBody('mona', 'member of tenant', scoped))).headers['x-subject-token']);

  test('is shown to its owner and to administrators', async () => {
    const token = await fresh();
    const own = await about('GET', token, token);
    expect(own.statusCode).toBe(200);
    expect(own.headers['x-subject-token']).toBe(token);
    expect(own.json().token.user.name).toBe('mona');
    expect((await about('GET', api.admin.token, token)).statusCode).toBe(200);
    expect((await about('GET', token, api.admin.token)).statusCode).toBe(403);
    expect((await about('GET', token, 'no such')).statusCode).toBe(404);
    expect((await about('GET', 'no such', token)).statusCode).toBe(401);
  });

  test('once revoked opens nothing, at once', async () => {
    const token = await fresh();
    const use = () => api.app.inject({ url: '/v1/transfers', headers: { 'x-auth-token': token } });
    expect((await use()).statusCode).toBe(200);
    expect((await about('DELETE', token, token)).statusCode).toBe(204);
    expect((await use()).statusCode).toBe(401);
    expect((await about('GET', api.admin.token, token)).statusCode).toBe(404);
  });

  test('that has expired opens nothing, although it was known a moment ago', async () => {
    const token = await fresh();
    const use = () => api.app.inject({ url: '/v1/transfers', headers: { 'x-auth-token': token } });
    expect((await use()).statusCode).toBe(200);
    await sql`update auth_token set expires_at = now() - interval '1 second'`.execute(api.db);
    now += 6_000;
    expect((await use()).statusCode).toBe(401);
  });

  test('is stored only as a hash', async () => {
    const token = await fresh();
    const { rows } = await sql<{ line: string }>`select auth_token::text as line from auth_token`.execute(api.db);
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.map((row) => row.line).join()).not.toContain(token);
  });
});

test('the version documents say where to go', async () => {
  const identity = await api.app.inject('/identity/v3');
  expect(identity.json().version).toMatchObject({
    id: 'v3.14',
    links: [{ rel: 'self', href: 'http://godwit.example:7000/identity/v3/' }],
  });
  const root = await api.app.inject('/');
  expect(root.json().versions).toMatchObject([
    { id: 'v1', status: 'CURRENT', links: [{ href: 'http://godwit.example:7000/v1/' }] },
  ]);
  expect((await api.app.inject('/healthz')).json()).toEqual({ status: 'ok' });
  expect((await api.app.inject('/readyz')).json()).toEqual({ status: 'ready' });
});
