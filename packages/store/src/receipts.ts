import { randomUUID } from 'node:crypto';
import type { JsonObject } from '@godwit/domain';
import type { Db } from './database.ts';
import { ofProject, type Page, readPage } from './listing.ts';
import { type Receipt, toJson } from './tables.ts';
import type { Scope } from './transfers.ts';

export interface NewReceipt {
  executionId: string;
  transferId: string;
  projectId: string;
  instance: string;
  diskId: string;
  document: JsonObject;
  sourceRoot: string;
  targetRoot: string;
  result: 'match' | 'mismatch';
}

/** Writes the receipt of one disk of one execution; a second one for the same disk replaces it. */
export async function putReceipt(db: Db, receipt: NewReceipt): Promise<Receipt> {
  return db
    .insertInto('receipt')
    .values({
      id: randomUUID(),
      execution_id: receipt.executionId,
      transfer_id: receipt.transferId,
      project_id: receipt.projectId,
      instance: receipt.instance,
      disk_id: receipt.diskId,
      document: toJson(receipt.document),
      source_root: receipt.sourceRoot,
      target_root: receipt.targetRoot,
      result: receipt.result,
    })
    .onConflict((oc) =>
      oc.columns(['execution_id', 'instance', 'disk_id']).doUpdateSet((eb) => ({
        document: eb.ref('excluded.document'),
        source_root: eb.ref('excluded.source_root'),
        target_root: eb.ref('excluded.target_root'),
        result: eb.ref('excluded.result'),
      })),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
}

export async function getReceipt(db: Db, id: string, scope?: Scope): Promise<Receipt | undefined> {
  return db
    .selectFrom('receipt')
    .selectAll()
    .where('id', '=', id)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .executeTakeFirst();
}

export interface ReceiptQuery extends Page {
  transferId?: string;
  executionId?: string;
  instance?: string;
  diskId?: string;
  result?: 'match' | 'mismatch';
}

export async function listReceipts(db: Db, scope: Scope, query: ReceiptQuery = {}): Promise<Receipt[]> {
  const sort = { instance: 'plain', disk_id: 'plain', result: 'plain', transfer_id: 'plain' } as const;
  return readPage(db, 'receipt', sort, query, ofProject(scope), (after, order) =>
    db
      .selectFrom('receipt')
      .selectAll()
      .where(after)
      .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
      .$if(query.transferId !== undefined, (q) => q.where('transfer_id', '=', query.transferId!))
      .$if(query.executionId !== undefined, (q) => q.where('execution_id', '=', query.executionId!))
      .$if(query.instance !== undefined, (q) => q.where('instance', '=', query.instance!))
      .$if(query.diskId !== undefined, (q) => q.where('disk_id', '=', query.diskId!))
      .$if(query.result !== undefined, (q) => q.where('result', '=', query.result!))
      .orderBy(order)
      .$if(query.limit !== undefined, (q) => q.limit(query.limit!))
      .execute(),
  );
}
