import type { LedgerKeep, LedgerState } from '@godwit/domain';
import * as store from '@godwit/store';
import type { App } from '../app.ts';
import { type ApiContext, scopeOf } from '../context.ts';
import { flag, ListQuery, pageOf, type RawQuery, single } from '../list-query.ts';
import { invalidInput } from '../request-error.ts';
import { LedgerAnswer } from '../schemas/godwit.ts';
import { ledgerToWire } from '../wire/godwit.ts';

const STATES: readonly LedgerState[] = ['intended', 'made', 'removing', 'removed'];
const KEEPS: readonly LedgerKeep[] = ['execution', 'transfer', 'deployment', 'pool', 'forever'];

/** All that Godwit made, or was about to make, on any platform. */
export function ledgerRoutes(app: App, { db }: ApiContext): void {
  app.get(
    '/ledger',
    {
      schema: {
        operationId: 'listLedger',
        summary: 'What Godwit made on the platforms',
        description:
          'Filters: endpoint_id, transfer_id, deployment_id, execution_id, keep, state; show_removed: also what is gone',
        tags: ['ledger'],
        querystring: ListQuery,
        response: { 200: LedgerAnswer },
      },
    },
    async (request) => {
      const rows = await store.listLedger(db, scopeOf(request), ledgerQuery(request.query));
      return { ledger: rows.map(ledgerToWire) };
    },
  );
}

function ledgerQuery(query: RawQuery): store.LedgerQuery {
  const result: store.LedgerQuery = { ...pageOf(query), showRemoved: flag(query, 'show_removed') };
  const endpointId = single(query, 'endpoint_id');
  const transferId = single(query, 'transfer_id');
  const deploymentId = single(query, 'deployment_id');
  const executionId = single(query, 'execution_id');
  const state = wordOf('state', single(query, 'state'), STATES);
  const keep = wordOf('keep', single(query, 'keep'), KEEPS);
  if (endpointId !== undefined) result.endpointId = endpointId;
  if (transferId !== undefined) result.transferId = transferId;
  if (deploymentId !== undefined) result.deploymentId = deploymentId;
  if (executionId !== undefined) result.executionId = executionId;
  if (state !== undefined) result.state = state;
  if (keep !== undefined) result.keep = keep;
  return result;
}

function wordOf<W extends string>(name: string, word: string | undefined, known: readonly W[]): W | undefined {
  if (word === undefined) return undefined;
  const match = known.find((candidate) => candidate === word);
  if (match === undefined) throw invalidInput(`${name} must be one of ${known.join(', ')}`);
  return match;
}
