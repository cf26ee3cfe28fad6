import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ADMIN_PASSWORD, ServedApi, signIn, tokenBody } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await ServedApi.start();
});
afterAll(() => api[Symbol.asyncDispose]());

const PASSWORD = 'quite long enough';
const call = async (
  method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE',
  path: string,
  payload?: object,
  token = api.admin.token,
) =>
  api.app.inject({
    method,
    url: `/identity/v3${path}`,
    headers: { 'x-auth-token': token },
    ...(payload && { payload }),
  });
const login = (name: string, password: string, project: string) =>
  api.app.inject({
    method: 'POST',
    url: '/identity/v3/auth/tokens',
    payload: tokenBody(name, password, { project: { id: project } }),
  });

async function tenant(name: string): Promise<{ project: string; user: string }> {
  const project = (await call('POST', '/projects', { project: { name: `${name}-project` } })).json().project.id;
  const user = (await call('POST', '/users', { user: { name, password: PASSWORD } })).json().user.id;
  return { project, user };
}

describe('users and projects', () => {
  test('are made, given a role, signed in with, and shown without the password', async () => {
    const { project, user } = await tenant('nils');
    expect((await login('nils', PASSWORD, project)).statusCode).toBe(401);
    expect((await call('PUT', `/projects/${project}/users/${user}/roles/member`)).statusCode).toBe(204);
    const nils = await signIn(api.app, 'nils', PASSWORD, project);
    expect((await nils.get('/endpoints')).json()).toEqual({ endpoints: [] });
    const shown = await call('GET', `/users/${user}`);
    expect(shown.json().user).toMatchObject({ id: user, name: 'nils', enabled: true, domain_id: 'default' });
    expect(shown.body).not.toContain('scrypt');
    const names = async (path: string, key: string) =>
      (await call('GET', path)).json()[key].map((one: { name: string }) => one.name);
    expect(await names('/users?name=nils', 'users')).toEqual(['nils']);
    expect(await names('/projects', 'projects')).toContain('nils-project');
    expect(await names('/roles', 'roles')).toEqual(['admin', 'member', 'reader']);
    const given = (await call('GET', `/role_assignments?user.id=${user}&include_names=True`)).json().role_assignments;
    expect(given).toMatchObject([
      { role: { name: 'member' }, user: { name: 'nils' }, scope: { project: { name: 'nils-project' } } },
    ]);
  });

  test('lose their tokens at once with the role, the password, the account or the project', async () => {
    const { project, user } = await tenant('lena');
    const role = `/projects/${project}/users/${user}/roles/member`;
    await call('PUT', role);
    const first = await signIn(api.app, 'lena', PASSWORD, project);
    expect((await first.get('/transfers')).statusCode).toBe(200);
    await call('PATCH', `/users/${user}`, { user: { password: 'another long one' } });
    expect((await first.get('/transfers')).statusCode).toBe(401);
    const second = await signIn(api.app, 'lena', 'another long one', project);
    await call('PATCH', `/users/${user}`, { user: { enabled: false } });
    expect((await second.get('/transfers')).statusCode).toBe(401);
    await call('PATCH', `/users/${user}`, { user: { enabled: true } });
    const third = await signIn(api.app, 'lena', 'another long one', project);
    await call('DELETE', role);
    expect((await third.get('/transfers')).statusCode).toBe(401);
    await call('PUT', role);
    const fourth = await signIn(api.app, 'lena', 'another long one', project);
    expect((await call('DELETE', `/projects/${project}`)).statusCode).toBe(204);
    expect((await fourth.get('/transfers')).statusCode).toBe(401);
    expect((await call('DELETE', `/users/${user}`)).statusCode).toBe(204);
    expect((await call('GET', `/users/${user}`)).statusCode).toBe(404);
  });

  test('with the role reader alone read and change nothing', async () => {
    const { project, user } = await tenant('rita');
    await call('PUT', `/projects/${project}/users/${user}/roles/reader`);
    const rita = await signIn(api.app, 'rita', PASSWORD, project);
    expect((await rita.get('/transfers')).statusCode).toBe(200);
    const refused = await rita.post('/endpoints', { endpoint: {} });
    expect(refused.statusCode).toBe(403);
    expect(refused.json().error.message).toBe(
      "PolicyNotAuthorized: Policy doesn't allow migration:endpoints:create to be performed.",
    );
  });

  test('are not made twice, nor a project removed that still holds something', async () => {
    const twice = await call('POST', '/users', { user: { name: 'mona', password: PASSWORD } });
    expect(twice.statusCode).toBe(409);
    await api.endpoint(api.member, 'kept');
    const refused = await call('DELETE', `/projects/${api.member.projectId}`);
    expect(refused.statusCode).toBe(409);
    expect(refused.json().error.message).toContain('it still has 1 objects');
  });

  test('keep at least one administrator', async () => {
    const { users } = (await call('GET', '/users?name=admin')).json();
    const role = `/projects/${api.admin.projectId}/users/${users[0].id}/roles/admin`;
    for (const answer of [
      await call('DELETE', role),
      await call('DELETE', `/users/${users[0].id}`),
      await call('PATCH', `/users/${users[0].id}`, { user: { enabled: false } }),
      await call('PATCH', `/projects/${api.admin.projectId}`, { project: { enabled: false } }),
    ]) {
      expect(answer.statusCode).toBe(409);
      expect(answer.json().error.message).toContain('the last administrator');
    }
    expect((await login('admin', ADMIN_PASSWORD, api.admin.projectId)).statusCode).toBe(201);
  });

  test('are the administrators’ matter', async () => {
    for (const path of ['/users', '/projects', '/roles', '/role_assignments']) {
      expect((await call('GET', path, undefined, api.member.token)).statusCode).toBe(403);
      expect((await call('GET', path, undefined, 'nonsense')).statusCode).toBe(401);
    }
    expect(
      (await call('POST', '/users', { user: { name: 'x', password: PASSWORD } }, api.member.token)).statusCode,
    ).toBe(403);
  });

  test.each([
    ['POST', '/users', { user: { name: 'short', password: 'short' } }],
    ['POST', '/users', { user: { password: PASSWORD } }],
    ['POST', '/projects', { project: { name: '' } }],
    ['POST', '/projects', {}],
  ] as const)('%s %s %j is refused with 400', async (method, path, body) => {
    expect((await call(method, path, body)).statusCode).toBe(400);
  });
});
