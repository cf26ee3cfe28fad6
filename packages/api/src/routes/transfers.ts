import { isDeepStrictEqual } from 'node:util';
import type { JsonObject } from '@godwit/domain';
import { poolsOf, refuseUnfitPools } from '@godwit/engine';
import * as store from '@godwit/store';
import type { FastifyRequest } from 'fastify';
import { actionOf } from '../action-body.ts';
import { executionsToWire, freshExecutionToWire, readInfo } from '../action-reader.ts';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, noContent, scopeOf } from '../context.ts';
import { onTransfer } from '../engine-refusal.ts';
import { flag, ListQuery, pageOf, type RawQuery, single, statusOf } from '../list-query.ts';
import { badRequest, found, invalidInput, naming } from '../request-error.ts';
import { ExecutionAnswer } from '../schemas/execution.ts';
import { NoContent, Params, Query } from '../schemas/params.ts';
import {
  DeleteDisksBody,
  TransferAnswer,
  TransferCreate,
  TransfersAnswer,
  TransferUpdate,
} from '../schemas/transfer.ts';
import {
  changedSettings,
  type Ends,
  instancesOf,
  newSettings,
  refuseFixed,
  refuseSameEnds,
  scenarioOf,
  type TransferBody,
  type TransferChangeBody,
  type TransferSettings,
} from '../transfer-request.ts';
import { transferToWire } from '../wire/action.ts';

export function transferRoutes(app: App, api: ApiContext): void {
  const { db } = api;
  const tags = ['transfers'];
  const params = Params('transfer_id');

  async function list(query: RawQuery, scope: store.Scope) {
    const status = statusOf(query, 'task');
    const scenario = single(query, 'scenario');
    const page: store.ActionQuery = {
      ...pageOf(query),
      // Statuses of tasks pass the filter and match nothing.
      ...(status !== undefined && { status: status as store.Transfer['last_execution_status'] }),
      showDeleted: flag(query, 'show_deleted'),
      ...(scenario !== undefined && { scenario: scenarioOf(scenario) }),
    };
    if (!flag(query, 'include_task_info')) {
      return api.remembered.answer(
        JSON.stringify(['transfers', scope, page]),
        () => store.transfersVersion(db, scope, page),
        async () => ({ transfers: (await store.listTransfers(db, scope, page)).map((row) => transferToWire(row)) }),
      );
    }
    const rows = await store.listTransfers(db, scope, page);
    const ids = rows.map((row) => row.id);
    const [info, runs] = await Promise.all([readInfo(db, ids), store.executionsOfActions(db, ids)]);
    const executions = Map.groupBy(
      await executionsToWire(
        db,
        [...runs.values()].flatMap((some) => some.toReversed()),
      ),
      (execution) => execution.action_id,
    );
    return {
      transfers: rows.map((row) => ({
        ...transferToWire(row, info.get(row.id) ?? {}),
        executions: executions.get(row.id) ?? [],
      })),
    };
  }

  for (const path of ['/transfers', '/transfers/detail']) {
    app.get(
      path,
      {
        schema: {
          operationId: path === '/transfers' ? 'listTransfers' : 'listTransfersDetail',
          summary: 'Transfers, newest first',
          tags,
          querystring: ListQuery,
          response: { 200: TransfersAnswer },
        },
      },
      async (request) => list(request.query, scopeOf(request)),
    );
  }

  app.get(
    '/transfers/:transfer_id',
    {
      schema: {
        operationId: 'getTransfer',
        summary: 'One transfer',
        description: 'Its executions are listed below it; here they are always an empty list.',
        tags,
        params,
        querystring: Query({ include_task_info: 'true: with info' }),
        response: { 200: TransferAnswer },
      },
    },
    async (request) => {
      const id = request.params.transfer_id;
      const row = found(await store.getTransfer(db, id, scopeOf(request)), 'Transfer', id);
      const info = flag(request.query, 'include_task_info') ? await store.listInfo(db, id) : undefined;
      return { transfer: transferToWire(row, info) };
    },
  );

  app.post(
    '/transfers',
    {
      schema: {
        operationId: 'createTransfer',
        summary: 'Make a transfer',
        description: 'Nothing moves yet: start an execution.',
        tags,
        body: TransferCreate,
        response: { 200: TransferAnswer },
      },
    },
    async (request) => ({ transfer: transferToWire(await createTransfer(api, request, request.body.transfer)) }),
  );

  app.put(
    '/transfers/:transfer_id',
    {
      schema: {
        operationId: 'updateTransfer',
        summary: 'Change the settings of a transfer',
        description:
          'Answers an execution of type transfer_update, in which both platforms judge the new settings; the transfer has them when it completes, and keeps the old ones when it does not. Maps are merged by key, storage mappings by source or disk. Endpoints, instances and scenario cannot change after creation.',
        tags,
        params,
        body: TransferUpdate,
        response: { 200: ExecutionAnswer },
      },
    },
    async (request) => {
      const id = request.params.transfer_id;
      const body = request.body.transfer;
      const row = await store.getTransfer(db, id, scopeOf(request));
      // The contract answers 400 here, not 404.
      if (row === undefined) throw invalidInput(`Transfer with ID '${id}' not found.`);
      refuseFixed(body, row.scenario);
      const origin = await endpointNamed(api, row.origin_endpoint_id, undefined);
      const destination = await endpointNamed(api, row.destination_endpoint_id, undefined);
      const ends = endsOf(api, origin, destination);
      const { execution } = await onTransfer(db, id, () =>
        api.engine.updateTransfer({
          transferId: id,
          change: (locked) => changedColumns(changedSettings(settingsOf(locked), body, locked.instances, ends), body),
        }),
      );
      return { execution: freshExecutionToWire(execution) };
    },
  );

  app.delete(
    '/transfers/:transfer_id',
    {
      schema: {
        operationId: 'deleteTransfer',
        summary: 'Forget a transfer and remove its replica disks',
        description: 'Deployed instances stay. Refused while an execution runs.',
        tags,
        params,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const id = request.params.transfer_id;
      found(await store.getTransfer(db, id, scopeOf(request)), 'Transfer', id);
      await onTransfer(db, id, () => api.engine.deleteTransfer(id));
      return noContent(reply);
    },
  );

  app.post(
    '/transfers/:transfer_id/actions',
    {
      schema: {
        operationId: 'actOnTransfer',
        summary: 'delete-disks: remove the replica disks, keep the transfer',
        tags,
        params,
        body: DeleteDisksBody,
        response: { 200: ExecutionAnswer },
      },
    },
    async (request) => {
      actionOf(request.body, ['delete-disks']);
      const id = request.params.transfer_id;
      found(await store.getTransfer(db, id, scopeOf(request)), 'Transfer', id);
      if ((await store.listReplicaDisks(db, id)).length === 0) {
        throw badRequest(
          `Transfer '${id}' does not have volumes information for any instances. Ensure that the transfer has been executed successfully priorly`,
        );
      }
      const { execution } = await onTransfer(db, id, () => api.engine.deleteDisks(id));
      return { execution: freshExecutionToWire(execution) };
    },
  );
}

/**
 * Judges the body of a new transfer and writes its row.
 *
 * @throws GodwitError 400 in the contract's words
 */
export async function createTransfer(
  api: ApiContext,
  request: FastifyRequest,
  body: TransferBody,
): Promise<store.Transfer> {
  const caller = callerOf(request);
  const scenario = scenarioOf(body.scenario);
  const instances = instancesOf(body.instances);
  const scope = scopeOf(request);
  const origin = await endpointNamed(api, body.origin_endpoint_id, scope);
  const destination = await endpointNamed(api, body.destination_endpoint_id, scope);
  const settings = newSettings(body, instances, endsOf(api, origin, destination));
  refuseSameEnds(origin.id, destination.id);
  await refuseSameConnection(api, origin, destination);
  await refuseUnfitPools(
    api.db,
    { project_id: caller.projectId, origin_endpoint_id: origin.id, destination_endpoint_id: destination.id },
    poolsOf({ ...settings, instances }),
  );
  const row = {
    project_id: caller.projectId,
    user_id: caller.userId,
    scenario,
    instances: store.toJson(instances),
    origin_endpoint_id: origin.id,
    destination_endpoint_id: destination.id,
    clustered: instances.length > 1,
    ...columnsOf(settings),
  };
  return naming(() => store.insertTransfer(api.db, row));
}

/** An endpoint that a body or a row names; one that is not there is a mistake in the request. */
async function endpointNamed(api: ApiContext, id: string, scope: store.Scope): Promise<store.PublicEndpoint> {
  const endpoint = await store.getEndpoint(api.db, id, scope);
  if (endpoint === undefined) throw invalidInput(`Endpoint with ID '${id}' not found.`);
  return endpoint;
}

function endsOf(api: ApiContext, origin: store.PublicEndpoint, destination: store.PublicEndpoint): Ends {
  return {
    origin: api.providers.get(origin.type),
    originType: origin.type,
    destination: api.providers.get(destination.type),
    destinationType: destination.type,
  };
}

/** Two endpoints that connect to the same place with the same credentials are one place. */
async function refuseSameConnection(
  { db, secrets }: ApiContext,
  origin: store.PublicEndpoint,
  destination: store.PublicEndpoint,
): Promise<void> {
  if (origin.type !== destination.type) return;
  const [one, other] = await Promise.all(
    [origin, destination].map(({ id }) => store.openConnectionInfo(db, secrets, id)),
  );
  if (isDeepStrictEqual(one, other)) throw badRequest('Origin and destination cannot be the same');
}

function columnsOf(settings: TransferSettings) {
  const json = (value: JsonObject | store.TransferOptions) => store.toJson(value);
  return {
    ...settings,
    source_environment: json(settings.source_environment),
    destination_environment: json(settings.destination_environment),
    network_map: json(settings.network_map),
    storage_mappings: json(settings.storage_mappings),
    user_scripts: json(settings.user_scripts),
    instance_osmorphing_minion_pool_mappings: json(settings.instance_osmorphing_minion_pool_mappings),
    options: json(settings.options),
  };
}

/** The columns that a body names: what it does not name is not written again when the update completes. */
function changedColumns(settings: TransferSettings, body: TransferChangeBody): store.TransferChange {
  return Object.fromEntries(Object.entries(columnsOf(settings)).filter(([column]) => column in body));
}

function settingsOf(row: store.Transfer): TransferSettings {
  return {
    source_environment: row.source_environment,
    destination_environment: row.destination_environment,
    network_map: row.network_map,
    storage_mappings: row.storage_mappings,
    notes: row.notes,
    user_scripts: row.user_scripts,
    clone_disks: row.clone_disks,
    skip_os_morphing: row.skip_os_morphing,
    origin_minion_pool_id: row.origin_minion_pool_id,
    destination_minion_pool_id: row.destination_minion_pool_id,
    instance_osmorphing_minion_pool_mappings: row.instance_osmorphing_minion_pool_mappings,
    options: row.options,
  };
}
