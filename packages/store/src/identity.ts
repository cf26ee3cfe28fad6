import { createHash, randomBytes, randomUUID, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { GodwitError } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { Project, UserAccount } from './tables.ts';
import { inTransaction } from './transaction.ts';

/** Cost of a password hash: about 16 MiB and 50 ms. Stored with each hash, so that it can be raised. */
const COST = { N: 16_384, r: 8, p: 1 };
const HASH_BYTES = 32;

/** `scrypt$N$r$p$salt$hash`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, COST);
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64'), hash.toString('base64')].join('$');
}

export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const [scheme, N, r, p, salt, hash] = stored.split('$');
  if (scheme !== 'scrypt' || salt === undefined || hash === undefined) return false;
  const wanted = Buffer.from(hash, 'base64');
  const got = await derive(password, Buffer.from(salt, 'base64'), { N: Number(N), r: Number(r), p: Number(p) });
  return wanted.length === got.length && timingSafeEqual(wanted, got);
}

function derive(password: string, salt: Buffer, cost: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, { ...cost, maxmem: 256 * 1024 * 1024 }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

/** Id of a living account by name or id. */
export async function accountId(db: Db, who: { name: string } | { id: string }): Promise<string | undefined> {
  return (await accountOf(db, who))?.id;
}

async function accountOf(db: Db, who: { name: string } | { id: string }): Promise<UserAccount | undefined> {
  return db
    .selectFrom('user_account')
    .selectAll()
    .where('name' in who ? 'name' : 'id', '=', 'name' in who ? who.name : who.id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
}

/** Checked in place of an unknown user's, so that the time of an answer does not tell which names exist. */
let decoy: Promise<string> | undefined;

/**
 * The user when the password is right and the account enabled, else undefined.
 *
 * @param who name or id
 */
export async function authenticate(
  db: Db,
  who: { name: string } | { id: string },
  password: string,
): Promise<UserAccount | undefined> {
  const user = await accountOf(db, who);
  // Awaited for known users, too: the first login of a process makes it.
  decoy ??= hashPassword(randomUUID());
  const other = await decoy;
  const right = await verifyPassword(password, user?.password_hash ?? other);
  return user !== undefined && right && user.enabled ? user : undefined;
}

export async function insertUser(
  db: Db,
  user: { name: string; password: string; defaultProjectId?: string },
): Promise<UserAccount> {
  return db
    .insertInto('user_account')
    .values({
      id: randomUUID(),
      name: user.name,
      password_hash: await hashPassword(user.password),
      default_project_id: user.defaultProjectId ?? null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Sets a new password and ends every session of the user. */
export async function setPassword(db: Db, userId: string, password: string): Promise<void> {
  const password_hash = await hashPassword(password);
  await inTransaction(db, async (trx) => {
    await trx
      .updateTable('user_account')
      .set({ password_hash, updated_at: sql<Date>`now()` })
      .where('id', '=', userId)
      .execute();
    await trx.deleteFrom('auth_token').where('user_id', '=', userId).execute();
  });
}

export async function listUsers(db: Db): Promise<UserAccount[]> {
  return db.selectFrom('user_account').selectAll().where('deleted_at', 'is', null).orderBy('name').execute();
}

export async function insertProject(db: Db, project: { name: string; description?: string }): Promise<Project> {
  return db
    .insertInto('project')
    .values({ id: randomUUID(), ...project })
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** A living, enabled project by id or name. */
export async function findProject(db: Db, which: { id: string } | { name: string }): Promise<Project | undefined> {
  return db
    .selectFrom('project')
    .selectAll()
    .where('id' in which ? 'id' : 'name', '=', 'id' in which ? which.id : which.name)
    .where('deleted_at', 'is', null)
    .where('enabled', '=', true)
    .executeTakeFirst();
}

/** Projects that the user has a role in. */
export async function projectsOfUser(db: Db, userId: string): Promise<Project[]> {
  return db
    .selectFrom('project')
    .selectAll()
    .where('deleted_at', 'is', null)
    .where('enabled', '=', true)
    .where('id', 'in', (eb) => eb.selectFrom('role_assignment').select('project_id').where('user_id', '=', userId))
    .orderBy('name')
    .execute();
}

export async function assignRole(db: Db, userId: string, projectId: string, role: string): Promise<void> {
  await db
    .insertInto('role_assignment')
    .values({ user_id: userId, project_id: projectId, role })
    .onConflict((oc) => oc.doNothing())
    .execute();
}

export async function rolesOf(db: Db, userId: string, projectId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('role_assignment')
    .select('role')
    .where('user_id', '=', userId)
    .where('project_id', '=', projectId)
    .orderBy('role')
    .execute();
  return rows.map((row) => row.role);
}

/** Default lifetime of a token: one working day. */
export const TOKEN_LIFETIME_MS = 12 * 3_600_000;

const tokenHash = (token: string): string => createHash('sha256').update(token).digest('hex');

export interface IssuedToken {
  token: string;
  issuedAt: Date;
  expiresAt: Date;
}

/**
 * @param projectId null: unscoped
 * @throws GodwitError UNAUTHORIZED when the user has no role in the project
 */
export async function issueToken(
  db: Db,
  userId: string,
  projectId: string | null,
  lifetimeMs = TOKEN_LIFETIME_MS,
): Promise<IssuedToken> {
  if (projectId !== null && (await rolesOf(db, userId, projectId)).length === 0) {
    throw new GodwitError('UNAUTHORIZED', 'token');
  }
  const token = randomBytes(32).toString('base64url');
  const row = await db
    .insertInto('auth_token')
    .values({
      id: randomUUID(),
      token_hash: tokenHash(token),
      user_id: userId,
      project_id: projectId,
      expires_at: sql<Date>`clock_timestamp() + ${lifetimeMs} * interval '1 millisecond'`,
    })
    .returning(['created_at', 'expires_at'])
    .executeTakeFirstOrThrow();
  return { token, issuedAt: row.created_at, expiresAt: row.expires_at };
}

/** Who a valid token speaks for. */
export interface TokenOwner {
  userId: string;
  userName: string;
  /** Null: unscoped. */
  projectId: string | null;
  projectName: string | null;
  roles: string[];
  issuedAt: Date;
  expiresAt: Date;
}

/** Undefined for a token that is unknown, expired or revoked, whose user or project is disabled, or has no role left there. */
export async function findToken(db: Db, token: string): Promise<TokenOwner | undefined> {
  const row = await db
    .selectFrom('auth_token')
    .innerJoin('user_account', 'user_account.id', 'auth_token.user_id')
    .leftJoin('project', 'project.id', 'auth_token.project_id')
    .select((eb) => [
      'auth_token.user_id',
      'auth_token.project_id',
      'auth_token.created_at',
      'auth_token.expires_at',
      'user_account.name as user_name',
      'project.name as project_name',
      eb
        .selectFrom('role_assignment')
        .select(sql<string[]>`coalesce(json_agg(role order by role), '[]')`.as('roles'))
        .whereRef('role_assignment.user_id', '=', 'auth_token.user_id')
        .whereRef('role_assignment.project_id', '=', 'auth_token.project_id')
        .as('roles'),
    ])
    .where('auth_token.token_hash', '=', tokenHash(token))
    .where('auth_token.expires_at', '>', sql<Date>`clock_timestamp()`)
    .where('user_account.enabled', '=', true)
    .where('user_account.deleted_at', 'is', null)
    .where((eb) =>
      eb.or([
        eb('auth_token.project_id', 'is', null),
        eb.and([
          eb('project.enabled', '=', true),
          eb('project.deleted_at', 'is', null),
          // Whoever lost the last role in the project speaks for nothing there any more.
          eb.exists(
            eb
              .selectFrom('role_assignment')
              .select('role_assignment.role')
              .whereRef('role_assignment.user_id', '=', 'auth_token.user_id')
              .whereRef('role_assignment.project_id', '=', 'auth_token.project_id'),
          ),
        ]),
      ]),
    )
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    userId: row.user_id,
    userName: row.user_name,
    projectId: row.project_id,
    projectName: row.project_name,
    roles: row.roles ?? [],
    issuedAt: row.created_at,
    expiresAt: row.expires_at,
  };
}

/** False when it was not valid any more. */
export async function revokeToken(db: Db, token: string): Promise<boolean> {
  const result = await db.deleteFrom('auth_token').where('token_hash', '=', tokenHash(token)).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Removes expired tokens; returns how many. */
export async function purgeTokens(db: Db): Promise<number> {
  const result = await db
    .deleteFrom('auth_token')
    .where('expires_at', '<', sql<Date>`clock_timestamp()`)
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}

export interface Administrator {
  userName: string;
  userId: string;
  projectName: string;
  projectId: string;
}

/**
 * The local administrator: made, with `password`, when no user exists yet. `created` tells whether this call made it
 * (only then is `password` the one that counts). Any number of processes may call it at once.
 */
export async function ensureAdministrator(db: Db, password: string): Promise<Administrator & { created: boolean }> {
  return inTransaction(db, async (trx) => {
    await sql`select pg_advisory_xact_lock(7000003)`.execute(trx);
    const known = await trx
      .selectFrom('user_account')
      .innerJoin('role_assignment', 'role_assignment.user_id', 'user_account.id')
      .innerJoin('project', 'project.id', 'role_assignment.project_id')
      .select([
        'user_account.id as userId',
        'user_account.name as userName',
        'project.id as projectId',
        'project.name as projectName',
      ])
      .where('role_assignment.role', '=', 'admin')
      .where('user_account.deleted_at', 'is', null)
      .where('project.deleted_at', 'is', null)
      .orderBy('user_account.created_at')
      .executeTakeFirst();
    if (known !== undefined) return { ...known, created: false };
    const project = await insertProject(trx, { name: 'admin', description: 'Made on the first start' });
    const user = await insertUser(trx, { name: 'admin', password, defaultProjectId: project.id });
    await assignRole(trx, user.id, project.id, 'admin');
    return {
      userId: user.id,
      userName: user.name,
      projectId: project.id,
      projectName: project.name,
      created: true,
    };
  });
}
