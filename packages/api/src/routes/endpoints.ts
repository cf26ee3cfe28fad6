import { GodwitError, type JsonObject } from '@godwit/domain';
import { checkInput } from '@godwit/provider';
import * as store from '@godwit/store';
import type { FastifyRequest } from 'fastify';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, noContent, scopeOf } from '../context.ts';
import type { ProviderDescription } from '../provider-description.ts';
import { found, invalidInput, naming, notFound } from '../request-error.ts';
import { EndpointAnswer, EndpointCreate, EndpointsAnswer, EndpointUpdate } from '../schemas/endpoint.ts';
import { NoContent, Params } from '../schemas/params.ts';
import { endpointToWire, publicPart } from '../wire/endpoint.ts';

export function endpointRoutes(app: App, api: ApiContext): void {
  const tags = ['endpoints'];
  const params = Params('endpoint_id');

  app.get(
    '/endpoints',
    { schema: { operationId: 'listEndpoints', summary: 'Endpoints', tags, response: { 200: EndpointsAnswer } } },
    async (request) => {
      const scope = scopeOf(request);
      return api.remembered.answer(
        JSON.stringify(['endpoints', scope]),
        () => store.endpointsVersion(api.db, scope),
        async () => ({ endpoints: (await store.listEndpoints(api.db, scope)).map(endpointToWire) }),
      );
    },
  );

  app.get(
    '/endpoints/:endpoint_id',
    {
      schema: { operationId: 'getEndpoint', summary: 'One endpoint', tags, params, response: { 200: EndpointAnswer } },
    },
    async (request) => {
      const id = request.params.endpoint_id;
      const row = found(await store.getEndpoint(api.db, id, scopeOf(request)), 'Endpoint', id);
      return { endpoint: endpointToWire(row) };
    },
  );

  app.post(
    '/endpoints',
    {
      schema: {
        operationId: 'createEndpoint',
        summary: 'Connect a platform',
        description: 'connection_info is judged by the schema of its type. Whether it connects: validate-connection.',
        tags,
        body: EndpointCreate,
        response: { 200: EndpointAnswer },
      },
    },
    async (request) => {
      const { endpoint } = request.body;
      const caller = callerOf(request);
      const info = await judged(api, provider(api, endpoint.type), endpoint.connection_info, request);
      const row = await naming(() =>
        store.insertEndpoint(api.db, api.secrets, {
          projectId: caller.projectId,
          userId: caller.userId,
          name: endpoint.name,
          type: endpoint.type,
          description: endpoint.description ?? null,
          ...info,
          mappedRegions: endpoint.mapped_regions ?? [],
        }),
      );
      return { endpoint: endpointToWire(row) };
    },
  );

  app.put(
    '/endpoints/:endpoint_id',
    {
      schema: {
        operationId: 'updateEndpoint',
        summary: 'Change an endpoint',
        description: 'A connection_info replaces the old one whole. The type cannot change after creation.',
        tags,
        params,
        body: EndpointUpdate,
        response: { 200: EndpointAnswer },
      },
    },
    async (request) => {
      const id = request.params.endpoint_id;
      const { endpoint } = request.body;
      const old = found(await store.getEndpoint(api.db, id, scopeOf(request)), 'Endpoint', id);
      const info =
        endpoint.connection_info === undefined
          ? {}
          : await judged(api, provider(api, old.type), endpoint.connection_info, request);
      const row = await naming(() =>
        store.updateEndpoint(api.db, api.secrets, id, {
          ...(endpoint.name !== undefined && { name: endpoint.name }),
          ...(endpoint.description !== undefined && { description: endpoint.description }),
          ...info,
          ...(endpoint.mapped_regions !== undefined && { mappedRegions: endpoint.mapped_regions ?? [] }),
        }),
      );
      return { endpoint: endpointToWire(found(row, 'Endpoint', id)) };
    },
  );

  app.delete(
    '/endpoints/:endpoint_id',
    {
      schema: {
        operationId: 'deleteEndpoint',
        summary: 'Forget an endpoint',
        description: 'Refused with 403 while transfers name it.',
        tags,
        params,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const id = request.params.endpoint_id;
      found(await store.getEndpoint(api.db, id, scopeOf(request)), 'Endpoint', id);
      if (!(await store.deleteEndpoint(api.db, id))) throw notFound('Endpoint', id);
      return noContent(reply);
    },
  );
}

function provider(api: ApiContext, type: string): ProviderDescription {
  const description = api.providers.get(type);
  if (description === undefined) throw new GodwitError('UNKNOWN_PROVIDER', type);
  return description;
}

/**
 * A connection_info that fits the schema, with the part of it that may be shown. One that lies elsewhere is read with the
 * caller's own token, so that nobody names a secret that is not his; only the reference is kept.
 */
async function judged(
  api: ApiContext,
  { connectionSchema }: ProviderDescription,
  connectionInfo: JsonObject,
  request: FastifyRequest,
) {
  const reference = store.secretReference(connectionInfo);
  if (reference === undefined) {
    checkInput(connectionSchema, connectionInfo, 'connection_info');
    return { connectionInfo, publicInfo: publicPart(connectionSchema, connectionInfo) };
  }
  if (api.externalSecrets === undefined) {
    throw invalidInput('connection_info/secret_ref needs a key manager, which comes with GODWIT_AUTH=keystone');
  }
  const content = await api.externalSecrets.read(reference, String(request.headers['x-auth-token']));
  checkInput(connectionSchema, content, 'connection_info');
  const kept = { secret_ref: reference };
  return { connectionInfo: kept, publicInfo: kept };
}
