import * as store from '@godwit/store';
import type { App } from '../app.ts';
import { type ApiContext, scopeOf } from '../context.ts';
import { flag, ListQuery, pageOf, single } from '../list-query.ts';
import { found, invalidInput } from '../request-error.ts';
import { ResourceAnswer, ResourcesAnswer } from '../schemas/godwit.ts';
import { Params } from '../schemas/params.ts';
import { resourceToWire } from '../wire/godwit.ts';

const KINDS = ['instance', 'volume', 'network'] as const;

/** The inventory: what the platforms held when they were last looked at, and what of it has migrated. */
export function resourceRoutes(app: App, { db }: ApiContext): void {
  const tags = ['resources'];

  app.get(
    '/resources',
    {
      schema: {
        operationId: 'listResources',
        summary: 'The inventory',
        description: 'Filters: endpoint_id, kind (instance, volume, network), migrated, name (a part of it)',
        tags,
        querystring: ListQuery,
        response: { 200: ResourcesAnswer },
      },
    },
    async (request) => {
      const { query } = request;
      const endpointId = single(query, 'endpoint_id');
      const name = single(query, 'name');
      const rows = await store.listResources(db, scopeOf(request), {
        ...pageOf(query),
        ...(endpointId !== undefined && { endpointId }),
        ...(name !== undefined && { name }),
        ...kindOf(single(query, 'kind')),
        ...(single(query, 'migrated') !== undefined && { migrated: flag(query, 'migrated') }),
      });
      return { resources: rows.map(resourceToWire) };
    },
  );

  app.get(
    '/resources/:resource_id',
    {
      schema: {
        operationId: 'getResource',
        summary: 'One record of the inventory',
        tags,
        params: Params('resource_id'),
        response: { 200: ResourceAnswer },
      },
    },
    async (request) => {
      const id = request.params.resource_id;
      return { resource: resourceToWire(found(await store.getResource(db, id, scopeOf(request)), 'Resource', id)) };
    },
  );
}

function kindOf(word: string | undefined): { kind?: (typeof KINDS)[number] } {
  if (word === undefined) return {};
  const kind = KINDS.find((known) => known === word);
  if (kind === undefined) throw invalidInput(`kind must be one of ${KINDS.join(', ')}`);
  return { kind };
}
