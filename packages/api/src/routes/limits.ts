import { endpointRateSetting } from '@godwit/engine';
import * as store from '@godwit/store';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { App } from '../app.ts';
import { type ApiContext, scopeOf } from '../context.ts';
import { onAction } from '../engine-refusal.ts';
import { found } from '../request-error.ts';
import { Exact, Nullable, Open } from '../schemas/json.ts';
import { Params } from '../schemas/params.ts';

const Limits = Exact('EndpointLimits', {
  rate_limit: Nullable(
    Type.Integer({
      minimum: 1,
      description: 'Bytes per second and direction, over all transfers that use the endpoint; null: none',
    }),
  ),
});
const LimitsAnswer = Exact('EndpointLimitsAnswer', { limits: Limits });
const TransferLimits = Exact('TransferLimits', {
  rate_limit: Nullable(
    Type.Integer({
      minimum: 1,
      description: 'Bytes per second and direction, over all disks of the transfer; null: none',
    }),
  ),
});
const TransferLimitsAnswer = Exact('TransferLimitsAnswer', { limits: TransferLimits });
const TransferLimitsUpdate = Open(
  'TransferLimitsUpdate',
  { limits: TransferLimits },
  { examples: [{ limits: { rate_limit: 104_857_600 } }] },
);
const LimitsUpdate = Open('LimitsUpdate', { limits: Limits }, { examples: [{ limits: { rate_limit: 104_857_600 } }] });

/** What an endpoint may be burdened with: beside the endpoint, because the contract fixes its keys. */
export function endpointLimitRoutes(app: App, { db }: ApiContext): void {
  const tags = ['endpoints'];
  const params = Params('endpoint_id');

  async function demandEndpoint(request: FastifyRequest, id: string): Promise<void> {
    found(await store.getEndpoint(db, id, scopeOf(request)), 'Endpoint', id);
  }

  async function read(id: string): Promise<Static<typeof LimitsAnswer>> {
    const value = await store.getSetting(db, endpointRateSetting(id));
    return { limits: { rate_limit: typeof value === 'number' ? value : null } };
  }

  app.get(
    '/endpoints/:endpoint_id/limits',
    {
      schema: {
        operationId: 'getEndpointLimits',
        summary: 'Limits of an endpoint',
        tags,
        params,
        response: { 200: LimitsAnswer },
      },
    },
    async (request) => {
      const id = request.params.endpoint_id;
      await demandEndpoint(request, id);
      return read(id);
    },
  );

  app.put(
    '/endpoints/:endpoint_id/limits',
    {
      schema: {
        operationId: 'updateEndpointLimits',
        summary: 'Set the limits of an endpoint',
        description: 'Counts for copies under way within seconds.',
        tags,
        params,
        body: LimitsUpdate,
        response: { 200: LimitsAnswer },
      },
    },
    async (request) => {
      const id = request.params.endpoint_id;
      await demandEndpoint(request, id);
      await store.putSetting(db, endpointRateSetting(id), request.body.limits.rate_limit);
      return read(id);
    },
  );
}

/** How fast a transfer may be: beside its other settings, because it may change while it runs. */
export function transferLimitRoutes(app: App, { db, engine }: ApiContext): void {
  const tags = ['transfers'];
  const params = Params('transfer_id');

  async function read(request: FastifyRequest, id: string): Promise<Static<typeof TransferLimitsAnswer>> {
    const { options } = found(await store.getTransfer(db, id, scopeOf(request)), 'Transfer', id);
    return { limits: { rate_limit: options.rate_limit ?? null } };
  }

  app.get(
    '/transfers/:transfer_id/limits',
    {
      schema: {
        operationId: 'getTransferLimits',
        summary: 'Limits of a transfer',
        tags,
        params,
        response: { 200: TransferLimitsAnswer },
      },
    },
    async (request) => read(request, request.params.transfer_id),
  );

  app.put(
    '/transfers/:transfer_id/limits',
    {
      schema: {
        operationId: 'updateTransferLimits',
        summary: 'Set the limits of a transfer',
        description: 'At any time: a copy under way keeps to it within seconds.',
        tags,
        params,
        body: TransferLimitsUpdate,
        response: { 200: TransferLimitsAnswer },
      },
    },
    async (request) => {
      const id = request.params.transfer_id;
      await read(request, id);
      await onAction(() => engine.limitTransfer(id, request.body.limits.rate_limit));
      return read(request, id);
    },
  );
}
