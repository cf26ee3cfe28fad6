import { randomUUID } from 'node:crypto';
import { type Db, insertTransfer, type NewTransfer, type Transfer, toJson } from '../src/index.ts';

/** An endpoint row without a secret. */
export async function makeEndpoint(db: Db, projectId = 'p1'): Promise<string> {
  const id = randomUUID();
  await db
    .insertInto('endpoint')
    .values({ id, project_id: projectId, user_id: 'u1', name: `endpoint ${id}`, type: 'image' })
    .execute();
  return id;
}

export async function makeTransfer(db: Db, change: Partial<NewTransfer> = {}): Promise<Transfer> {
  const endpoint = change.origin_endpoint_id ?? (await makeEndpoint(db));
  return insertTransfer(db, {
    project_id: 'p1',
    user_id: 'u1',
    scenario: 'replica',
    instances: toJson(['web01']),
    origin_endpoint_id: endpoint,
    destination_endpoint_id: endpoint,
    ...change,
  });
}
