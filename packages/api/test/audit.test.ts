import { brokenAudit } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ServedApi, tokenBody } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await ServedApi.start();
});
afterAll(() => api[Symbol.asyncDispose]());

interface Line {
  number: number;
  user_name: string | null;
  project_id: string | null;
  action: string;
  object: string;
  status: number;
  request_id: string;
}

/** The record of a request, once it is written. */
async function recordOf(requestId: unknown): Promise<Line> {
  let found: Line | undefined;
  await api.installation.eventually(`${String(requestId)} is recorded`, async () => {
    const { records } = (await api.admin.get('/audit')).json() as { records: Line[] };
    found = records.find((one) => one.request_id === requestId);
    return found !== undefined;
  });
  return found!;
}

describe('the audit', () => {
  test('records who changed what, and how it ended', async () => {
    const made = await api.admin.post('/regions', { region: { name: 'north', description: 'hush hush' } });
    expect(await recordOf(made.headers['x-compute-request-id'])).toMatchObject({
      user_name: 'admin',
      project_id: api.admin.projectId,
      action: 'migration:regions:create',
      object: 'POST /v1/regions',
      status: 200,
    });
    const refused = await api.member.post('/regions', { region: { name: 'south' } });
    expect(await recordOf(refused.headers['x-compute-request-id'])).toMatchObject({ user_name: 'mona', status: 403 });
    expect((await api.admin.get('/audit')).body).not.toContain('hush hush');
  });

  test('records sign-ins and refused reads, and no other reads', async () => {
    const payload = tokenBody('mona', 'wrong password');
    const login = await api.app.inject({ method: 'POST', url: '/identity/v3/auth/tokens', payload });
    expect(await recordOf(login.headers['x-openstack-request-id'])).toMatchObject({
      action: 'createToken',
      status: 401,
    });
    const right = tokenBody('mona', 'member of tenant');
    const signedIn = await api.app.inject({ method: 'POST', url: '/identity/v3/auth/tokens', payload: right });
    expect(await recordOf(signedIn.headers['x-openstack-request-id'])).toMatchObject({
      action: 'createToken',
      status: 201,
      user_name: 'mona',
      project_id: api.member.projectId,
    });
    const peek = await api.member.get('/diagnostics');
    expect(await recordOf(peek.headers['x-compute-request-id'])).toMatchObject({ status: 403 });
    await api.member.get('/transfers');
    const { records } = (await api.admin.get('/audit')).json() as { records: Line[] };
    expect(records.some((one) => one.object === 'GET /v1/transfers')).toBe(false);
    expect(JSON.stringify(records)).not.toContain('wrong password');
  });

  test('is numbered without a gap under many writers, read in pages, and for administrators', async () => {
    await Promise.all(Array.from({ length: 40 }, (_, i) => api.admin.post('/regions', { region: { name: `r${i}` } })));
    await api.installation.eventually('all are recorded', async () => {
      const { records } = (await api.admin.get('/audit')).json() as { records: Line[] };
      expect(records.map((one) => one.number)).toEqual(records.map((_, i) => i + 1));
      return records.length >= 40;
    });
    const page = (await api.admin.get('/audit?marker=3&limit=2&verify=true')).json();
    expect(page.records.map((one: Line) => one.number)).toEqual([4, 5]);
    expect(page.broken_at).toBeNull();
    expect((await api.admin.get('/audit?marker=x')).statusCode).toBe(400);
    expect((await api.member.get('/audit')).statusCode).toBe(403);
  });

  test('that cannot be written refuses changes before they take effect, and says afterwards how many', async () => {
    await using small = await ServedApi.start({ config: { auditBacklog: 2 } });
    const { pool } = small.installation.database;
    const blocker = await pool.connect();
    await blocker.query('begin; lock table audit_record in exclusive mode');
    const names = ['one', 'two', 'three', 'four', 'five'];
    const statuses: number[] = [];
    for (const name of names) statuses.push((await small.admin.post('/regions', { region: { name } })).statusCode);
    const refused = statuses.filter((status) => status === 503).length;
    expect(refused).toBeGreaterThan(0);
    expect((await small.admin.get('/regions')).json().regions).toHaveLength(names.length - refused);
    await blocker.query('commit');
    blocker.release();
    await small.installation.eventually('it serves again', async () => {
      return (await small.admin.post('/regions', { region: { name: `later ${Date.now()}` } })).statusCode === 200;
    });
    await small.installation.eventually('the gap is recorded', async () => {
      const { records } = (await small.admin.get('/audit?verify=true')).json() as { records: Line[] };
      const gaps = records.filter((one) => one.action === 'audit:gap').map((one) => Number.parseInt(one.object, 10));
      return gaps.reduce((sum, gap) => sum + gap, 0) >= refused;
    });
    expect(await brokenAudit(small.db)).toBeUndefined();
  });

  test('refuses to be changed, and shows it when somebody did', async () => {
    await expect(sql`update audit_record set status = 200 where number = 2`.execute(api.db)).rejects.toThrow(
      'never changed',
    );
    await expect(sql`delete from audit_record`.execute(api.db)).rejects.toThrow('never changed');
    await sql`alter table audit_record disable trigger all`.execute(api.db);
    await sql`update audit_record set user_name = 'nobody' where number = 2`.execute(api.db);
    expect(await brokenAudit(api.db)).toBe(2);
    expect((await api.admin.get('/audit?verify=true&limit=0')).json().broken_at).toBe(2);
  });
});
