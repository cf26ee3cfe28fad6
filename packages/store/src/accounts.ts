import { sql } from 'kysely';
import type { Db } from './database.ts';
import { hashPassword } from './identity.ts';
import type { Project, RoleAssignment, UserAccount } from './tables.ts';
import { inTransaction } from './transaction.ts';

/** Care for the users, projects and roles of the local identity. What signs in is in identity.ts. */

export async function getUser(db: Db, id: string): Promise<UserAccount | undefined> {
  return db
    .selectFrom('user_account')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
}

export interface UserChange {
  name?: string;
  enabled?: boolean;
  /** Ends every session of the user, as being disabled does. */
  password?: string;
  default_project_id?: string | null;
}

/** Undefined when there is no such living user. Rejects with a unique violation for a name that is taken. */
export async function updateUser(db: Db, id: string, change: UserChange): Promise<UserAccount | undefined> {
  const { password, ...columns } = change;
  const password_hash = password === undefined ? undefined : await hashPassword(password);
  return inTransaction(db, async (trx) => {
    const row = await trx
      .updateTable('user_account')
      .set({ ...columns, ...(password_hash !== undefined && { password_hash }), updated_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .returningAll()
      .executeTakeFirst();
    if (password !== undefined || change.enabled === false) {
      await trx.deleteFrom('auth_token').where('user_id', '=', id).execute();
    }
    return row;
  });
}

/** Marks it deleted and ends its sessions and roles; false when it was already or never was. */
export async function deleteUser(db: Db, id: string): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    const result = await trx
      .updateTable('user_account')
      .set({ deleted_at: sql<Date>`now()`, enabled: false })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) return false;
    await trx.deleteFrom('auth_token').where('user_id', '=', id).execute();
    await trx.deleteFrom('role_assignment').where('user_id', '=', id).execute();
    return true;
  });
}

export async function listProjects(db: Db): Promise<Project[]> {
  return db.selectFrom('project').selectAll().where('deleted_at', 'is', null).orderBy('name').execute();
}

export async function getProject(db: Db, id: string): Promise<Project | undefined> {
  return db.selectFrom('project').selectAll().where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst();
}

export async function updateProject(
  db: Db,
  id: string,
  change: { name?: string; description?: string; enabled?: boolean },
): Promise<Project | undefined> {
  return db
    .updateTable('project')
    .set({ ...change, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

/** How many living endpoints, transfers and deployments a project has. */
export async function countObjects(db: Db, projectId: string): Promise<number> {
  const counts = await Promise.all(
    (['endpoint', 'transfer', 'deployment', 'minion_pool'] as const).map((table) =>
      db
        .selectFrom(table)
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('project_id', '=', projectId)
        .where('deleted_at', 'is', null)
        .executeTakeFirstOrThrow(),
    ),
  );
  return counts.reduce((sum, { count }) => sum + Number(count), 0);
}

/** Marks it deleted and ends its sessions and roles; false when it was already or never was. */
export async function deleteProject(db: Db, id: string): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    const result = await trx
      .updateTable('project')
      .set({ deleted_at: sql<Date>`now()`, enabled: false })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) return false;
    await trx.deleteFrom('auth_token').where('project_id', '=', id).execute();
    await trx.deleteFrom('role_assignment').where('project_id', '=', id).execute();
    return true;
  });
}

export async function listRoleAssignments(
  db: Db,
  filter: { userId?: string; projectId?: string; role?: string } = {},
): Promise<RoleAssignment[]> {
  return db
    .selectFrom('role_assignment')
    .selectAll()
    .$if(filter.userId !== undefined, (q) => q.where('user_id', '=', filter.userId!))
    .$if(filter.projectId !== undefined, (q) => q.where('project_id', '=', filter.projectId!))
    .$if(filter.role !== undefined, (q) => q.where('role', '=', filter.role!))
    .orderBy('user_id')
    .orderBy('project_id')
    .orderBy('role')
    .execute();
}

/** False when the user did not have it. */
export async function removeRole(db: Db, userId: string, projectId: string, role: string): Promise<boolean> {
  const result = await db
    .deleteFrom('role_assignment')
    .where('user_id', '=', userId)
    .where('project_id', '=', projectId)
    .where('role', '=', role)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Living, enabled users with the role `admin` in a living project. */
export async function administrators(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('role_assignment')
    .innerJoin('user_account', 'user_account.id', 'role_assignment.user_id')
    .innerJoin('project', 'project.id', 'role_assignment.project_id')
    .select('user_account.id')
    .distinct()
    .where('role_assignment.role', '=', 'admin')
    .where('user_account.enabled', '=', true)
    .where('user_account.deleted_at', 'is', null)
    .where('project.enabled', '=', true)
    .where('project.deleted_at', 'is', null)
    .execute();
  return rows.map((row) => row.id);
}
