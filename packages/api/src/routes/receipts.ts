import { Readable } from 'node:stream';
import { receiptKeySetting } from '@godwit/engine';
import * as store from '@godwit/store';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, scopeOf } from '../context.ts';
import { ListQuery, pageOf, single } from '../list-query.ts';
import { found, invalidInput, notFound } from '../request-error.ts';
import { ReceiptDocument, ReceiptKeyAnswer, ReceiptsAnswer } from '../schemas/godwit.ts';
import { Params } from '../schemas/params.ts';
import { receiptToWire } from '../wire/godwit.ts';

export function receiptRoutes(app: App, { db }: ApiContext): void {
  const tags = ['receipts'];
  const params = Params('receipt_id');

  app.get(
    '/receipts',
    {
      schema: {
        operationId: 'listReceipts',
        summary: 'Receipts, newest first',
        description: 'Filters: transfer_id, execution_id, instance, disk_id, result (match, mismatch)',
        tags,
        querystring: ListQuery,
        response: { 200: ReceiptsAnswer },
      },
    },
    async (request) => {
      const { query } = request;
      const transferId = single(query, 'transfer_id');
      const executionId = single(query, 'execution_id');
      const instance = single(query, 'instance');
      const diskId = single(query, 'disk_id');
      const rows = await store.listReceipts(db, scopeOf(request), {
        ...pageOf(query),
        ...(transferId !== undefined && { transferId }),
        ...(executionId !== undefined && { executionId }),
        ...(instance !== undefined && { instance }),
        ...(diskId !== undefined && { diskId }),
        ...resultOf(single(query, 'result')),
      });
      return { receipts: rows.map(receiptToWire) };
    },
  );

  app.get(
    '/receipts/keys/:key_id',
    {
      schema: {
        operationId: 'getReceiptKey',
        summary: 'The public key that checks receipts of a key id',
        description: 'Ed25519, SPKI PEM. A careful reader gets it once, from a source he trusts, and keeps it.',
        tags,
        params: Params('key_id'),
        response: { 200: ReceiptKeyAnswer },
      },
    },
    async (request) => {
      callerOf(request);
      const id = request.params.key_id;
      const pem = await store.getSetting(db, receiptKeySetting(id));
      if (typeof pem !== 'string') throw notFound('Receipt key', id);
      return { key: { key_id: id, public_key: pem } };
    },
  );

  app.get(
    '/receipts/:receipt_id',
    {
      schema: {
        operationId: 'getReceipt',
        summary: 'The signed receipt itself',
        description: 'No envelope: the document as it was signed, to be kept and checked by anybody.',
        tags,
        params,
        response: { 200: ReceiptDocument },
      },
    },
    async (request) => {
      const id = request.params.receipt_id;
      return found(await store.getReceipt(db, id, scopeOf(request)), 'Receipt', id).document;
    },
  );

  app.get(
    '/receipts/:receipt_id/leaves',
    {
      schema: {
        operationId: 'getReceiptLeaves',
        summary: 'The leaf table of a receipt',
        description: '32 bytes per 64 KiB of the disk, in order. 410 when a later execution has changed the disk.',
        tags,
        params,
        produces: ['application/octet-stream'],
        response: { 200: Type.Unsafe<unknown>({ type: 'string', format: 'binary' }) },
      },
    },
    async (request, reply) => {
      const id = request.params.receipt_id;
      const receipt = found(await store.getReceipt(db, id, scopeOf(request)), 'Receipt', id);
      const table = await store.openReceiptLeaves(db, receipt);
      reply.type('application/octet-stream').header('content-length', String(table.bytes));
      return reply.send(Readable.from(table.read()));
    },
  );
}

function resultOf(word: string | undefined): { result?: 'match' | 'mismatch' } {
  if (word === undefined) return {};
  if (word !== 'match' && word !== 'mismatch') throw invalidInput('result must be match or mismatch');
  return { result: word };
}
