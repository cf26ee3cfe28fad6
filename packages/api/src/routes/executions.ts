import { ACTIVE_EXECUTION_STATUSES, GodwitError } from '@godwit/domain';
import * as store from '@godwit/store';
import { actionOf, forceOf } from '../action-body.ts';
import { executionsToWire, freshExecutionToWire } from '../action-reader.ts';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, noContent, scopeOf } from '../context.ts';
import { onAction, onTransfer } from '../engine-refusal.ts';
import { ListQuery, pageOf, statusOf } from '../list-query.ts';
import { badRequest } from '../request-error.ts';
import { CancelBody, ExecutionAnswer, ExecutionCreate, ExecutionsAnswer } from '../schemas/execution.ts';
import { NoContent, Params } from '../schemas/params.ts';

type ScopedRequest = Parameters<typeof scopeOf>[0] & { params: { transfer_id: string; execution_id: string } };

export function executionRoutes(app: App, api: ApiContext): void {
  const { db } = api;
  const tags = ['executions'];
  const params = Params('transfer_id', 'execution_id');

  /** The execution of the URL; 404 when it is another transfer's or another tenant's. */
  async function executionOf(request: ScopedRequest): Promise<store.Execution> {
    const { transfer_id: transferId, execution_id: id } = request.params;
    const execution = await store.getExecutionOfTransfer(db, transferId, id, scopeOf(request));
    if (execution === undefined) {
      throw new GodwitError('NOT_FOUND', `Execution with ID '${id}' for Transfer '${transferId}'`);
    }
    return execution;
  }

  /** @param scope the same as in the query, of which undefined leaves no trace in a key */
  const listed = (transferId: string, scope: store.Scope, query: store.ExecutionQuery) =>
    api.remembered.answer(
      JSON.stringify(['executions', scope, transferId, query]),
      () => store.executionsVersion(db, transferId, query),
      async () => ({ executions: await executionsToWire(db, await store.listExecutions(db, transferId, query)) }),
    );

  app.get(
    '/transfers/:transfer_id/executions',
    {
      schema: {
        operationId: 'listExecutions',
        summary: 'Executions of a transfer, newest first',
        description: 'Of a transfer that does not exist: an empty list.',
        tags,
        params: Params('transfer_id'),
        querystring: ListQuery,
        response: { 200: ExecutionsAnswer },
      },
    },
    async (request) => {
      const scope = scopeOf(request);
      const status = statusOf(request.query, 'task execution');
      const id = request.params.transfer_id;
      const query: store.ExecutionQuery = {
        ...pageOf(request.query),
        transferOf: { scope },
        ...(status !== undefined && { status: status as store.Execution['status'] }),
      };
      return listed(id, scope, query);
    },
  );

  app.get(
    '/transfers/:transfer_id/executions/detail',
    {
      schema: {
        operationId: 'listExecutionsDetail',
        summary: 'All executions of a transfer with their tasks',
        tags,
        params: Params('transfer_id'),
        response: { 200: ExecutionsAnswer },
      },
    },
    async (request) => {
      const id = request.params.transfer_id;
      const scope = scopeOf(request);
      return listed(id, scope, { transferOf: { scope } });
    },
  );

  app.get(
    '/transfers/:transfer_id/executions/:execution_id',
    {
      schema: {
        operationId: 'getExecution',
        summary: 'One execution with its tasks, their events and their progress',
        tags,
        params,
        response: { 200: ExecutionAnswer },
      },
    },
    async (request) => {
      const { transfer_id: transferId, execution_id: id } = request.params;
      const scope = scopeOf(request);
      return api.remembered.answer(
        JSON.stringify(['execution', scope, transferId, id]),
        () => store.executionVersion(db, transferId, id, scope),
        async () => ({ execution: (await executionsToWire(db, [await executionOf(request)]))[0]! }),
      );
    },
  );

  app.post(
    '/transfers/:transfer_id/executions',
    {
      schema: {
        operationId: 'createExecution',
        summary: 'Run a transfer',
        description:
          'With shutdown_instances the sources are stopped before the last pass. Refused while another execution runs.',
        tags,
        params: Params('transfer_id'),
        body: ExecutionCreate,
        response: { 200: ExecutionAnswer },
      },
    },
    async (request) => {
      const id = request.params.transfer_id;
      const wanted = request.body.execution ?? {};
      if (wanted.auto_deploy) request.demand('migration:deployments:create');
      const scope = scopeOf(request);
      const { execution } = await onTransfer(db, id, () =>
        api.engine.executeTransfer({
          transferId: id,
          ...(scope !== undefined && { projectId: scope }),
          userId: callerOf(request).userId,
          shutdownInstances: wanted.shutdown_instances ?? false,
          autoDeploy: wanted.auto_deploy ?? false,
          ...(wanted.verify && { verify: wanted.verify }),
          ...(wanted.audit && { audit: wanted.audit }),
        }),
      );
      return { execution: freshExecutionToWire(execution) };
    },
  );

  app.delete(
    '/transfers/:transfer_id/executions/:execution_id',
    {
      schema: {
        operationId: 'deleteExecution',
        summary: 'Forget an execution that has ended',
        tags,
        params,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const row = await executionOf(request);
      if (!(await store.deleteExecution(db, row.id))) {
        throw badRequest(
          `Cannot delete execution '${row.id}' for Transfer '${row.action_id}' as it is currently in '${row.status}' state.`,
        );
      }
      return noContent(reply);
    },
  );

  app.post(
    '/transfers/:transfer_id/executions/:execution_id/actions',
    {
      schema: {
        operationId: 'actOnExecution',
        summary: 'cancel: end a running execution; with force at once',
        tags,
        params,
        body: CancelBody,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const { argument } = actionOf(request.body, ['cancel']);
      const force = forceOf(argument);
      const row = await executionOf(request);
      if (!ACTIVE_EXECUTION_STATUSES.includes(row.status)) {
        throw badRequest(`Transfer '${row.action_id}' has no running execution to cancel.`);
      }
      if (row.status === 'CANCELLING' && !force) {
        throw badRequest(
          `Transfer '${row.action_id}' is already being cancelled. Please use the force option if you'd like to force-cancel it.`,
        );
      }
      await onAction(() => api.engine.cancelExecution(row.id, force));
      return noContent(reply);
    },
  );
}
