import * as store from '@godwit/store';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { ApiContext } from '../context.ts';
import { limitOf, type RawQuery, single } from '../list-query.ts';
import { badRequest } from '../request-error.ts';
import { Exact, Nullable, Timestamp } from '../schemas/json.ts';
import { Query } from '../schemas/params.ts';
import { timestamp } from '../wire/timestamp.ts';

const Line = Exact('AuditRecord', {
  number: Type.Integer({ description: '1 and up, without a gap' }),
  at: Timestamp,
  request_id: Type.String(),
  user_id: Nullable(Type.String()),
  user_name: Nullable(Type.String()),
  project_id: Nullable(Type.String()),
  address: Type.String({ description: 'From where' }),
  action: Type.String({ description: 'The policy that was asked, else the operation' }),
  object: Type.String({ description: 'Method and path' }),
  status: Type.Integer({ description: 'HTTP status of the answer' }),
  previous: Type.String({ description: 'Hash of the record before' }),
  hash: Type.String(),
});
const AuditAnswer = Exact('AuditAnswer', {
  records: Type.Array(Line),
  broken_at: Nullable(Type.Integer({ description: 'With verify: first record that was tampered with; null: none' })),
});

const MOST = 1_000;

/** Who did what. For administrators; nothing here can be changed, not even by them. */
export function auditRoutes(app: App, { db }: ApiContext): void {
  app.get(
    '/audit',
    {
      schema: {
        operationId: 'listAuditRecords',
        summary: 'Who did what, oldest first',
        tags: ['audit'],
        querystring: Query({
          marker: 'Number of the last record seen',
          limit: `Records at most; default and most ${MOST}`,
          project: 'Only of this project',
          verify: 'true: prove the whole chain of hashes',
        }),
        response: { 200: AuditAnswer },
      },
    },
    async (request) => {
      const query = request.query as RawQuery;
      const marker = single(query, 'marker') ?? '0';
      if (!/^\d{1,15}$/.test(marker)) throw badRequest(`marker must be the number of a record, not ${marker}`);
      const project = single(query, 'project');
      const rows = await store.listAudit(db, {
        after: Number(marker),
        limit: Math.min(limitOf(query) ?? MOST, MOST),
        ...(project !== undefined && { projectId: project }),
      });
      const verify = single(query, 'verify')?.toLowerCase() === 'true';
      const broken = verify ? await store.brokenAudit(db) : undefined;
      return { records: rows.map((row) => ({ ...row, at: timestamp(row.at) })), broken_at: broken ?? null };
    },
  );
}
