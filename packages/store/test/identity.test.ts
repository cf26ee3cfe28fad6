import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  assignRole,
  authenticate,
  ensureAdministrator,
  findToken,
  insertProject,
  insertUser,
  issueToken,
  projectsOfUser,
  purgeTokens,
  revokeToken,
  setPassword,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

describe('the local identity', () => {
  it('has one administrator, made by the first of many that start at once', async () => {
    const passwords = ['a', 'b', 'c', 'd', 'e'];
    const all = await Promise.all(passwords.map((password) => ensureAdministrator(database.db, password)));
    const winner = all.findIndex((administrator) => administrator.created);
    expect(all.filter((administrator) => administrator.created)).toHaveLength(1);
    expect(new Set(all.map((administrator) => administrator.userId)).size).toBe(1);
    expect(await authenticate(database.db, { name: 'admin' }, passwords[winner]!)).toMatchObject({ name: 'admin' });
    expect(await authenticate(database.db, { name: 'admin' }, 'wrong')).toBeUndefined();
    expect(await authenticate(database.db, { name: 'nobody' }, 'wrong')).toBeUndefined();
  });

  it('gives tokens for projects in which the user has a role, and stores none of them', async () => {
    const user = await insertUser(database.db, { name: 'ada', password: 'pw' });
    const project = await insertProject(database.db, { name: 'engines' });
    await expect(issueToken(database.db, user.id, project.id)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await assignRole(database.db, user.id, project.id, 'member');
    await assignRole(database.db, user.id, project.id, 'member');
    const { token, expiresAt } = await issueToken(database.db, user.id, project.id);
    expect(await findToken(database.db, token)).toMatchObject({
      userName: 'ada',
      projectName: 'engines',
      roles: ['member'],
      expiresAt,
    });
    expect(await projectsOfUser(database.db, user.id)).toMatchObject([{ name: 'engines' }]);
    const stored = await sql<{ text: string }>`select t::text as text from auth_token t`.execute(database.db);
    expect(stored.rows.some((row) => row.text.includes(token))).toBe(false);
    const unscoped = await issueToken(database.db, user.id, null);
    expect(await findToken(database.db, unscoped.token)).toMatchObject({ projectId: null, roles: [] });
  });

  it('forgets tokens that were revoked, ran out, or whose user changed the password or was disabled', async () => {
    const user = await insertUser(database.db, { name: 'bob', password: 'pw' });
    const issue = async (lifetime?: number) => (await issueToken(database.db, user.id, null, lifetime)).token;
    const revoked = await issue();
    expect(await revokeToken(database.db, revoked)).toBe(true);
    expect(await revokeToken(database.db, revoked)).toBe(false);
    const expired = await issue(-1);
    const changed = await issue();
    await setPassword(database.db, user.id, 'new');
    expect(await authenticate(database.db, { id: user.id }, 'new')).toMatchObject({ name: 'bob' });
    const disabled = await issue();
    await database.db.updateTable('user_account').set({ enabled: false }).where('id', '=', user.id).execute();
    for (const token of [revoked, expired, changed, disabled, 'never issued']) {
      expect(await findToken(database.db, token)).toBeUndefined();
    }
    expect(await authenticate(database.db, { id: user.id }, 'new')).toBeUndefined();
    await database.db.updateTable('user_account').set({ enabled: true }).where('id', '=', user.id).execute();
    const short = await issue(-1);
    expect(await purgeTokens(database.db)).toBeGreaterThan(0);
    expect(await revokeToken(database.db, short)).toBe(false);
  });
});
