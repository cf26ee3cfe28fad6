import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { lifeEvents } from './events.ts';
import { limitSql, ofProject, readPage } from './listing.ts';
import type { Deployment, DeploymentChange, NewDeployment } from './tables.ts';
import { inTransaction } from './transaction.ts';
import { ACTION_SORT, type ActionQuery, type Scope } from './transfers.ts';

export async function insertDeployment(
  db: Db,
  deployment: Omit<NewDeployment, 'id'> & { id?: string },
): Promise<Deployment> {
  return inTransaction(db, async (trx) => {
    const row = await trx
      .insertInto('deployment')
      .values({ id: randomUUID(), ...deployment })
      .returningAll()
      .executeTakeFirstOrThrow();
    await sayDeployment(trx, 'created', row);
    return row;
  });
}

const sayDeployment = lifeEvents('deployment', ({ transfer_id, instances, test }: Deployment) => ({
  transfer_id,
  instances,
  test,
}));

/** A living deployment, or undefined. */
export async function getDeployment(db: Db, id: string, scope?: Scope): Promise<Deployment | undefined> {
  return db
    .selectFrom('deployment')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .executeTakeFirst();
}

/** The same, locked until the end of the transaction: for read-decide-write. */
export async function lockDeployment(db: Db, id: string): Promise<Deployment | undefined> {
  return db
    .selectFrom('deployment')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
}

/** A page of deployments, newest first unless asked otherwise. */
export async function listDeployments(db: Db, scope: Scope, query: ActionQuery = {}): Promise<Deployment[]> {
  return readPage(
    db,
    'deployment',
    { ...ACTION_SORT, transfer_id: 'plain', transfer_scenario: 'plain', deployer_id: 'text' },
    query,
    ofProject(scope),
    (after, order) =>
      db
        .selectFrom('deployment')
        .selectAll()
        .where(after)
        .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
        .$if(query.showDeleted !== true, (q) => q.where('deleted_at', 'is', null))
        .$if(query.status !== undefined, (q) => q.where('last_execution_status', '=', query.status!))
        .$if(query.scenario !== undefined, (q) => q.where('transfer_scenario', '=', query.scenario!))
        .orderBy(order)
        .$if(query.limit !== undefined, (q) => q.limit(limitSql(query.limit!)))
        .execute(),
  );
}

/** Changes columns and sets `updated_at`; undefined when there is no such living deployment. */
export async function updateDeployment(db: Db, id: string, change: DeploymentChange): Promise<Deployment | undefined> {
  return db
    .updateTable('deployment')
    .set({ ...change, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

/** Marks it deleted; false when it was already or never was. */
export async function deleteDeployment(db: Db, id: string): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    const row = await trx
      .updateTable('deployment')
      .set({ deleted_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .returningAll()
      .executeTakeFirst();
    if (row !== undefined) await sayDeployment(trx, 'deleted', row);
    return row !== undefined;
  });
}

/** Living deployments that wait for this execution to complete. */
export async function deploymentsWaitingFor(db: Db, executionId: string): Promise<Deployment[]> {
  return db
    .selectFrom('deployment')
    .selectAll()
    .where('deployer_id', '=', executionId)
    .where('last_execution_status', '=', 'PENDING')
    .where('deleted_at', 'is', null)
    .orderBy('created_at')
    .execute();
}

/** The newest living deployment of each of these transfers. */
export async function latestDeployments(db: Db, transferIds: string[]): Promise<Map<string, Deployment>> {
  if (transferIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('deployment')
    .selectAll()
    .distinctOn('transfer_id')
    .where(sql<boolean>`transfer_id = any(${transferIds})`)
    .where('deleted_at', 'is', null)
    .orderBy('transfer_id')
    .orderBy('created_at', 'desc')
    .execute();
  return new Map(rows.map((row) => [row.transfer_id, row]));
}

/** Living deployments of a transfer, oldest first. */
export async function deploymentsOfTransfer(db: Db, transferId: string): Promise<Deployment[]> {
  return db
    .selectFrom('deployment')
    .selectAll()
    .where('transfer_id', '=', transferId)
    .where('deleted_at', 'is', null)
    .orderBy('created_at')
    .execute();
}
