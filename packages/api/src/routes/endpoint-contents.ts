import { GodwitError, type InstanceInfo } from '@godwit/domain';
import type { InstanceQuery } from '@godwit/provider';
import * as store from '@godwit/store';
import { type Static, Type } from 'typebox';
import { actionOf } from '../action-body.ts';
import type { App } from '../app.ts';
import { environmentParameter, instanceParameter, optionNamesParameter } from '../base64-parameter.ts';
import { type ApiContext, scopeOf } from '../context.ts';
import { flag, limitOf, type RawQuery, single } from '../list-query.ts';
import { PROVIDER_TYPE } from '../provider-description.ts';
import { found } from '../request-error.ts';
import { ValidateConnectionAnswer } from '../schemas/endpoint.ts';
import {
  DestinationOptionsAnswer,
  DestinationPoolOptionsAnswer,
  InstanceAnswer,
  InstancesAnswer,
  NetworksAnswer,
  SourceOptionsAnswer,
  SourcePoolOptionsAnswer,
  StorageAnswer,
} from '../schemas/endpoint-contents.ts';
import { ENVIRONMENT, OPTION_NAMES, Params, Query } from '../schemas/params.ts';
import { inventoryCsv } from '../wire/inventory.ts';

/** Instances described at the same time for an inventory. */
const INVENTORY_WIDTH = 4;

/** What lies behind an endpoint; every answer comes from the platform, through a worker. */
export function endpointContentRoutes(app: App, api: ApiContext): void {
  const tags = ['endpoints'];
  const params = Params('endpoint_id');
  const environment = Query({ env: ENVIRONMENT });
  const options = Query({ env: ENVIRONMENT, options: OPTION_NAMES });

  async function endpointOf(request: { params: { endpoint_id: string } } & Parameters<typeof scopeOf>[0]) {
    const id = request.params.endpoint_id;
    return found(await store.getEndpoint(api.db, id, scopeOf(request)), 'Endpoint', id);
  }

  app.post(
    '/endpoints/:endpoint_id/actions',
    {
      schema: {
        operationId: 'actOnEndpoint',
        summary: 'validate-connection: does it connect with these credentials',
        description: '200 also when it does not: then valid is false and message says why.',
        tags,
        params,
        body: Type.Object(
          { 'validate-connection': Type.Null() },
          { title: 'EndpointAction', examples: [{ 'validate-connection': null }] },
        ),
        response: { 200: ValidateConnectionAnswer },
      },
    },
    async (request) => {
      actionOf(request.body, ['validate-connection']);
      const endpoint = await endpointOf(request);
      return { 'validate-connection': await connects(api, endpoint.id) };
    },
  );

  app.get(
    '/endpoints/:endpoint_id/instances',
    {
      schema: {
        operationId: 'listEndpointInstances',
        summary: 'Instances of the platform',
        tags,
        params,
        querystring: Query({
          marker: 'Id of the last item seen',
          limit: 'Items at most',
          name: 'Part of the name',
          refresh: 'true: not from a cache',
          env: ENVIRONMENT,
        }),
        response: { 200: InstancesAnswer },
      },
    },
    async (request) => {
      const query = instanceQuery(request.query);
      const endpoint = await endpointOf(request);
      if (query.limit === 0) return { instances: [] };
      const instances = await api.engine.callProvider(endpoint.id, 'listInstances', { query });
      if (query.marker === undefined && query.limit === undefined && query.name === undefined) {
        await store.syncResources(
          api.db,
          { projectId: endpoint.project_id, endpointId: endpoint.id },
          'instance',
          instances.map((instance) => ({ externalId: instance.id, name: instance.name, data: { ...instance } })),
        );
      }
      return { instances };
    },
  );

  app.get(
    '/endpoints/:endpoint_id/instances/:instance',
    {
      schema: {
        operationId: 'getEndpointInstance',
        summary: 'One instance with its devices',
        description: 'instance: URL-safe base64 of its identifier',
        tags,
        params: Params('endpoint_id', 'instance'),
        querystring: environment,
        response: { 200: InstanceAnswer },
      },
    },
    async (request) => {
      const id = instanceParameter(request.params.instance);
      const env = environmentParameter(single(request.query, 'env'));
      const endpoint = await endpointOf(request);
      return { instance: await api.engine.callProvider(endpoint.id, 'getInstance', { id, environment: env }) };
    },
  );

  app.get(
    '/endpoints/:endpoint_id/networks',
    {
      schema: {
        operationId: 'listEndpointNetworks',
        summary: 'Networks of the platform',
        tags,
        params,
        querystring: environment,
        response: { 200: NetworksAnswer },
      },
    },
    async (request) => {
      const env = environmentParameter(single(request.query, 'env'));
      const endpoint = await endpointOf(request);
      return { networks: await api.engine.callProvider(endpoint.id, 'listNetworks', { environment: env }) };
    },
  );

  app.get(
    '/endpoints/:endpoint_id/storage',
    {
      schema: {
        operationId: 'listEndpointStorage',
        summary: 'Storage of the platform',
        tags,
        params,
        querystring: environment,
        response: { 200: StorageAnswer },
      },
    },
    async (request) => {
      const env = environmentParameter(single(request.query, 'env'));
      const endpoint = await endpointOf(request);
      const backends = await api.engine.callProvider(endpoint.id, 'listStorage', { environment: env });
      return { storage: { storage_backends: backends } };
    },
  );

  app.get(
    '/endpoints/:endpoint_id/source-options',
    {
      schema: {
        operationId: 'listEndpointSourceOptions',
        summary: 'Values on offer for the source environment',
        tags,
        params,
        querystring: options,
        response: { 200: SourceOptionsAnswer },
      },
    },
    async (request) => {
      const args = optionArguments(request.query);
      const endpoint = await endpointOf(request);
      return {
        source_options: await api.engine.callProvider(endpoint.id, 'listOptions', { side: 'source', ...args }),
      };
    },
  );

  app.get(
    '/endpoints/:endpoint_id/destination-options',
    {
      schema: {
        operationId: 'listEndpointDestinationOptions',
        summary: 'Values on offer for the destination environment',
        tags,
        params,
        querystring: options,
        response: { 200: DestinationOptionsAnswer },
      },
    },
    async (request) => {
      const args = optionArguments(request.query);
      const endpoint = await endpointOf(request);
      return {
        destination_options: await api.engine.callProvider(endpoint.id, 'listOptions', {
          side: 'destination',
          ...args,
        }),
      };
    },
  );

  for (const side of ['source', 'destination'] as const) {
    const Answer = side === 'source' ? SourcePoolOptionsAnswer : DestinationPoolOptionsAnswer;
    app.get(
      `/endpoints/:endpoint_id/${side}-minion-pool-options`,
      {
        schema: {
          operationId: side === 'source' ? 'listEndpointSourcePoolOptions' : 'listEndpointDestinationPoolOptions',
          summary: `Values on offer for minion pools of the ${side}`,
          tags,
          params,
          querystring: options,
          response: { 200: Answer },
        },
      },
      async (request) => {
        const { environment: given, names: wanted } = optionArguments(request.query);
        const endpoint = await endpointOf(request);
        const offered = poolOptions(api, endpoint.type, side);
        const names = wanted.length === 0 ? offered : wanted.filter((name) => offered.includes(name));
        const args = { side, environment: given, names };
        const values = names.length === 0 ? [] : await api.engine.callProvider(endpoint.id, 'listOptions', args);
        return { [`${side}_minion_pool_options`]: values } as Static<typeof Answer>;
      },
    );
  }

  app.get(
    '/endpoints/:endpoint_id/inventory',
    {
      schema: {
        operationId: 'getEndpointInventory',
        summary: 'All instances as CSV',
        description: 'One header row, one row per instance. With Accept: application/json the CSV as one JSON string.',
        tags,
        params,
        querystring: environment,
        produces: ['text/csv', 'application/json'],
        response: { 200: Type.String() },
      },
    },
    async (request, reply) => {
      const env = environmentParameter(single(request.query, 'env'));
      const endpoint = await endpointOf(request);
      const csv = inventoryCsv(await describeAll(api, endpoint.id, env));
      const accept = request.headers.accept ?? '';
      if (accept.includes('application/json') && !accept.includes('text/csv')) {
        return reply.type('application/json').serializer(String).send(JSON.stringify(csv));
      }
      return reply.type('text/csv').serializer(String).send(csv);
    },
  );
}

/** Names of the options that a pool has. @throws GodwitError ABSENT: no pools there */
function poolOptions(api: ApiContext, type: string, side: 'source' | 'destination'): string[] {
  const provider = api.providers.get(type);
  const schema = side === 'source' ? provider?.sourcePoolSchema : provider?.destinationPoolSchema;
  if (schema !== undefined) return Object.keys((schema as { properties?: object }).properties ?? {});
  const number = side === 'source' ? PROVIDER_TYPE.sourcePool : PROVIDER_TYPE.destinationPool;
  throw new GodwitError('ABSENT', type, { reason: `Provider not found for: ${type}, ${number}` });
}

async function connects(api: ApiContext, id: string): Promise<{ valid: boolean; message: string | null }> {
  try {
    await api.engine.callProvider(id, 'validateConnection', {});
    return { valid: true, message: null };
  } catch (error) {
    if (!(error instanceof GodwitError) || error.code === 'NO_WORKER' || error.code === 'INTERNAL') throw error;
    return { valid: false, message: `${error.message} ${error.remedy}` };
  }
}

function instanceQuery(query: RawQuery): InstanceQuery {
  const result: InstanceQuery = {
    environment: environmentParameter(single(query, 'env')),
    refresh: flag(query, 'refresh'),
  };
  const marker = single(query, 'marker');
  const limit = limitOf(query);
  const name = single(query, 'name');
  if (marker !== undefined && marker !== '') result.marker = marker;
  if (limit !== undefined) result.limit = limit;
  if (name !== undefined && name !== '') result.name = name;
  return result;
}

function optionArguments(query: RawQuery) {
  return {
    environment: environmentParameter(single(query, 'env')),
    names: optionNamesParameter(single(query, 'options')),
  };
}

/** Every instance in full, a few at a time, in the order of the list. One that vanished meanwhile is left out. */
async function describeAll(
  api: ApiContext,
  endpointId: string,
  environment: InstanceQuery['environment'],
): Promise<InstanceInfo[]> {
  const list = await api.engine.callProvider(endpointId, 'listInstances', { query: { environment } });
  const described: (InstanceInfo | undefined)[] = new Array(list.length);
  let next = 0;
  const work = async () => {
    for (let i = next++; i < list.length; i = next++) {
      try {
        described[i] = await api.engine.callProvider(endpointId, 'getInstance', { id: list[i]!.id, environment });
      } catch (error) {
        if (!(error instanceof GodwitError) || error.code !== 'NOT_FOUND') throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: INVENTORY_WIDTH }, work));
  return described.filter((instance) => instance !== undefined);
}
