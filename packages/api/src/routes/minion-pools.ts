import { GodwitError } from '@godwit/domain';
import { checkInput } from '@godwit/provider';
import * as store from '@godwit/store';
import { actionOf, forceOf } from '../action-body.ts';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, noContent, scopeOf } from '../context.ts';
import { changedPool, newPool } from '../minion-pool-request.ts';
import { PROVIDER_TYPE } from '../provider-description.ts';
import { badRequest, found, invalidInput, naming } from '../request-error.ts';
import {
  MinionPoolActionBody,
  MinionPoolAnswer,
  MinionPoolCreate,
  MinionPoolsAnswer,
  MinionPoolUpdate,
} from '../schemas/minion-pool.ts';
import { NoContent, Params } from '../schemas/params.ts';
import { quoted } from '../user-scripts.ts';
import { poolToWire } from '../wire/minion-pool.ts';

/** Temporary helper machines, made before they are needed. Making and removing them is the engine's. */
export function minionPoolRoutes(app: App, api: ApiContext): void {
  const { db } = api;
  const tags = ['minion pools'];
  const params = Params('minion_pool_id');

  async function toWire(row: store.MinionPool) {
    const [machines, history] = await Promise.all([
      store.machinesOfPools(db, [row.id]),
      store.historyOfPool(db, row.id),
    ]);
    return poolToWire(row, machines.get(row.id) ?? [], history);
  }

  async function poolOf(request: Parameters<typeof scopeOf>[0] & { params: { minion_pool_id: string } }) {
    const id = request.params.minion_pool_id;
    return found(await store.getMinionPool(db, id, scopeOf(request)), 'Minion pool', id);
  }

  app.get(
    '/minion_pools',
    { schema: { operationId: 'listMinionPools', summary: 'Minion pools', tags, response: { 200: MinionPoolsAnswer } } },
    async (request) => {
      const rows = await store.listMinionPools(db, scopeOf(request));
      const machines = await store.machinesOfPools(
        db,
        rows.map((row) => row.id),
      );
      return { minion_pools: rows.map((row) => poolToWire(row, machines.get(row.id) ?? [])) };
    },
  );

  app.get(
    '/minion_pools/:minion_pool_id',
    {
      schema: {
        operationId: 'getMinionPool',
        summary: 'One pool with its machines and its history',
        tags,
        params,
        response: { 200: MinionPoolAnswer },
      },
    },
    async (request) => ({ minion_pool: await toWire(await poolOf(request)) }),
  );

  app.post(
    '/minion_pools',
    {
      schema: {
        operationId: 'createMinionPool',
        summary: 'Make a pool',
        description: 'Its machines are made at once, unless skip_allocation is true.',
        tags,
        body: MinionPoolCreate,
        response: { 200: MinionPoolAnswer },
      },
    },
    async (request) => {
      const body = request.body.minion_pool;
      const caller = callerOf(request);
      const settings = newPool(body);
      const endpoint = await store.getEndpoint(db, body.endpoint_id, scopeOf(request));
      if (endpoint === undefined) throw invalidInput(`Endpoint with ID '${body.endpoint_id}' not found.`);
      judgeOptions(api, endpoint.type, settings.platform, settings.environment_options);
      const row = await naming(() =>
        store.insertMinionPool(db, {
          ...settings,
          project_id: caller.projectId,
          user_id: caller.userId,
          endpoint_id: endpoint.id,
        }),
      );
      if (body.skip_allocation !== true) await api.engine.actOnPool(row.id, 'allocate');
      return { minion_pool: await toWire(found(await store.getMinionPool(db, row.id), 'Minion pool', row.id)) };
    },
  );

  app.put(
    '/minion_pools/:minion_pool_id',
    {
      schema: {
        operationId: 'updateMinionPool',
        summary: 'Change a pool that has no machines',
        description: 'Only while it is DEALLOCATED. Endpoint and platform cannot change after creation.',
        tags,
        params,
        body: MinionPoolUpdate,
        response: { 200: MinionPoolAnswer },
      },
    },
    async (request) => {
      const { id } = await poolOf(request);
      const row = await store.inTransaction(db, async (trx) => {
        const before = found(await store.lockMinionPool(trx, id), 'Minion pool', id);
        const change = changedPool(before, request.body.minion_pool);
        if (before.status !== 'DEALLOCATED') {
          throw badRequest(
            `Minion Pool '${id}' cannot be updated as it is in '${before.status}' status instead of the expected 'DEALLOCATED'. Please ensure the pool machines have been deallocated and the pool's supporting resources have been torn down before updating the pool.`,
          );
        }
        const endpoint = found(await store.getEndpoint(trx, before.endpoint_id), 'Endpoint', before.endpoint_id);
        if (change.environment_options !== undefined) {
          judgeOptions(api, endpoint.type, before.platform, change.environment_options);
        }
        return found(await store.updateMinionPool(trx, id, change), 'Minion pool', id);
      });
      return { minion_pool: await toWire(row) };
    },
  );

  app.delete(
    '/minion_pools/:minion_pool_id',
    {
      schema: {
        operationId: 'deleteMinionPool',
        summary: 'Forget a pool that has no machines',
        description: 'Only while it is DEALLOCATED or ERROR.',
        tags,
        params,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const { id } = await poolOf(request);
      await store.inTransaction(db, async (trx) => {
        const { status } = found(await store.lockMinionPool(trx, id), 'Minion pool', id);
        if (status !== 'DEALLOCATED' && status !== 'ERROR') {
          throw badRequest(
            `Minion Pool '${id}' cannot be deleted as it is in '${status}' status instead of one of the expected ${quoted(['DEALLOCATED', 'ERROR'])}. Please ensure the pool machines have been deallocated and the pool's supporting resources have been torn down before deleting the pool.`,
          );
        }
        await store.deleteMinionPool(trx, id);
      });
      return noContent(reply);
    },
  );

  app.post(
    '/minion_pools/:minion_pool_id/actions',
    {
      schema: {
        operationId: 'actOnMinionPool',
        summary: 'allocate, refresh or deallocate; the last with force from any state',
        tags,
        params,
        body: MinionPoolActionBody,
        response: { 200: MinionPoolAnswer },
      },
    },
    async (request) => {
      const { name, argument } = actionOf(request.body, ['allocate', 'refresh', 'deallocate']);
      const force = name === 'deallocate' && forceOf(argument, name);
      const row = await poolOf(request);
      refuseState(row, name, force);
      // Nothing to do, as in the original.
      if (name !== 'deallocate' || row.status !== 'DEALLOCATED') await api.engine.actOnPool(row.id, name, force);
      return { minion_pool: await toWire(await poolOf(request)) };
    },
  );
}

function refuseState({ id, status }: store.MinionPool, action: string, force: boolean): void {
  if (action === 'allocate' && status !== 'DEALLOCATED') {
    throw badRequest(
      `Minion machines for pool '${id}' cannot be allocated as the pool is in '${status}' state instead of the expected ${quoted(['DEALLOCATED'])}. Please force-deallocate the pool and try again.`,
    );
  }
  if (action === 'refresh' && status !== 'ALLOCATED') {
    throw badRequest(
      `Minion machines for pool '${id}' cannot be refreshed as the pool is in '${status}' state instead of the expected ${quoted(['ALLOCATED'])}.`,
    );
  }
  if (action === 'deallocate' && !force && !['DEALLOCATED', 'ALLOCATED', 'ERROR'].includes(status)) {
    throw badRequest(
      `Minion pool '${id}' cannot be deallocated as the pool is in '${status}' state instead of one of the expected ${quoted(['ALLOCATED', 'ERROR'])}`,
    );
  }
}

function judgeOptions(
  { providers }: ApiContext,
  type: string,
  platform: 'source' | 'destination',
  options: store.MinionPool['environment_options'],
): void {
  const provider = providers.get(type);
  if (provider === undefined) throw new GodwitError('UNKNOWN_PROVIDER', type);
  const schema = platform === 'source' ? provider.sourcePoolSchema : provider.destinationPoolSchema;
  if (schema === undefined) {
    const number = platform === 'source' ? PROVIDER_TYPE.sourcePool : PROVIDER_TYPE.destinationPool;
    throw invalidInput(`Provider not found for: ${type}, ${number}`);
  }
  checkInput(schema, options, 'environment_options');
}
