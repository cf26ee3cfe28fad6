import { ACTIVE_EXECUTION_STATUSES } from '@godwit/domain';
import * as store from '@godwit/store';
import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { actionOf, forceOf } from '../action-body.ts';
import { readInfo } from '../action-reader.ts';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, noContent, scopeOf } from '../context.ts';
import { onAction, onTransfer } from '../engine-refusal.ts';
import { flag, ListQuery, pageOf, type RawQuery, statusOf } from '../list-query.ts';
import { badRequest, found, invalidInput } from '../request-error.ts';
import { DeploymentAnswer, DeploymentCreate, DeploymentsAnswer } from '../schemas/deployment.ts';
import { CancelBody } from '../schemas/execution.ts';
import { NoContent, Params, Query } from '../schemas/params.ts';
import { normalisedScripts } from '../user-scripts.ts';
import { type DeploymentRun, deploymentToWire } from '../wire/action.ts';

export function deploymentRoutes(app: App, api: ApiContext): void {
  const { db } = api;
  const tags = ['deployments'];
  const params = Params('deployment_id');

  async function toWire(row: store.Deployment, withInfo: boolean) {
    const runs = await runsOf(db, [row]);
    return deploymentToWire(row, runs.get(row.id), withInfo ? await store.listInfo(db, row.id) : undefined);
  }

  async function list(query: RawQuery, scope: store.Scope) {
    const status = statusOf(query, 'deployment');
    const rows = await store.listDeployments(db, scope, {
      ...pageOf(query),
      ...(status !== undefined && { status: status as store.Deployment['last_execution_status'] }),
      showDeleted: flag(query, 'show_deleted'),
    });
    if (!flag(query, 'include_task_info')) {
      // Plain lists show no tasks; only whether there is an execution at all.
      return {
        deployments: rows.map((row) => deploymentToWire(row, row.last_execution_number === 0 ? undefined : null)),
      };
    }
    const ids = rows.map((row) => row.id);
    const [runs, info] = await Promise.all([runsOf(db, rows), readInfo(db, ids)]);
    return { deployments: rows.map((row) => deploymentToWire(row, runs.get(row.id), info.get(row.id) ?? {})) };
  }

  for (const path of ['/deployments', '/deployments/detail']) {
    app.get(
      path,
      {
        schema: {
          operationId: path === '/deployments' ? 'listDeployments' : 'listDeploymentsDetail',
          summary: 'Deployments, newest first',
          tags,
          querystring: ListQuery,
          response: { 200: DeploymentsAnswer },
        },
      },
      async (request) => list(request.query, scopeOf(request)),
    );
  }

  app.get(
    '/deployments/:deployment_id',
    {
      schema: {
        operationId: 'getDeployment',
        summary: 'One deployment with its tasks',
        tags,
        params,
        querystring: Query({ include_task_info: 'true: with info' }),
        response: { 200: DeploymentAnswer },
      },
    },
    async (request) => {
      const id = request.params.deployment_id;
      const row = found(await store.getDeployment(db, id, scopeOf(request)), 'Deployment', id);
      return { deployment: await toWire(row, flag(request.query, 'include_task_info')) };
    },
  );

  app.post(
    '/deployments',
    {
      schema: {
        operationId: 'createDeployment',
        summary: 'Boot the transferred disks at the destination',
        description:
          'With test: an overlay in an isolated network, removed with the deployment, while replication goes on.',
        tags,
        body: DeploymentCreate,
        response: { 200: DeploymentAnswer },
      },
    },
    async (request) => {
      const deploymentId = await createDeployment(api, request, request.body.deployment);
      const row = found(await store.getDeployment(db, deploymentId), 'Deployment', deploymentId);
      return { deployment: await toWire(row, false) };
    },
  );

  app.delete(
    '/deployments/:deployment_id',
    {
      schema: {
        operationId: 'deleteDeployment',
        summary: 'Forget a deployment',
        description: 'The instance stays, unless it was a test failover: that is removed.',
        tags,
        params,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const id = request.params.deployment_id;
      const row = found(await store.getDeployment(db, id, scopeOf(request)), 'Deployment', id);
      if (ACTIVE_EXECUTION_STATUSES.includes(row.last_execution_status)) {
        throw badRequest(
          `Cannot delete Deployment '${id}' as it is currently in '${row.last_execution_status}' state.`,
        );
      }
      await onAction(() => api.engine.deleteDeployment(id));
      return noContent(reply);
    },
  );

  app.post(
    '/deployments/:deployment_id/actions',
    {
      schema: {
        operationId: 'actOnDeployment',
        summary: 'cancel: end a running or waiting deployment; with force at once',
        tags,
        params,
        body: CancelBody,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const { argument } = actionOf(request.body, ['cancel']);
      const force = forceOf(argument);
      const id = request.params.deployment_id;
      const { last_execution_status: status } = found(
        await store.getDeployment(db, id, scopeOf(request)),
        'Deployment',
        id,
      );
      if (status !== 'PENDING' && !ACTIVE_EXECUTION_STATUSES.includes(status)) {
        throw badRequest(`Deployment '${id}' is not currently running`);
      }
      if (status === 'CANCELLING' && !force) {
        throw badRequest(
          `Deployment '${id}' is already being cancelled. Please use the force option if you'd like to force-cancel it.`,
        );
      }
      await onAction(() => api.engine.cancelDeployment(id, force));
      return noContent(reply);
    },
  );
}

/** Their executions with tasks, by deployment id. */
export async function runsOf(db: store.Db, rows: readonly store.Deployment[]): Promise<Map<string, DeploymentRun>> {
  const executions = await store.latestExecutions(
    db,
    rows.map((row) => row.id),
  );
  const tasks = await store.toldTasks(
    db,
    [...executions.values()].map((execution) => execution.id),
  );
  return new Map([...executions].map(([id, execution]) => [id, { tasks: tasks.get(execution.id) ?? [] }]));
}

/** What a deployment may be asked for: the body of `POST /deployments` within its envelope. */
export type DeploymentBody = Static<typeof DeploymentCreate>['deployment'];

/**
 * Judges the body of a new deployment and starts it; answers its id.
 *
 * @throws GodwitError 400 and 404 in the contract's words
 */
export async function createDeployment(
  api: ApiContext,
  request: FastifyRequest,
  body: DeploymentBody,
): Promise<string> {
  const { db } = api;
  if (!body.transfer_id) {
    throw invalidInput(
      "Missing 'transfer_id' field from deployment body. A deployment can be created strictly based on an existing Transfer.",
    );
  }
  const transferId = body.transfer_id;
  const scripts = body.user_scripts ? normalisedScripts(body.user_scripts) : undefined;
  const transfer = found(await store.getTransfer(db, transferId, scopeOf(request)), 'Transfer', transferId);
  const mappings = body.instance_osmorphing_minion_pool_mappings;
  const { deploymentId } = await onTransfer(db, transferId, async () => {
    if (!body.force) await refuseUnexecuted(db, transfer);
    return api.engine.deploy({
      transferId,
      userId: callerOf(request).userId,
      cloneDisks: body.clone_disks ?? true,
      force: body.force ?? false,
      skipOsMorphing: body.skip_os_morphing ?? false,
      test: body.test ?? false,
      ...(scripts && { userScripts: scripts }),
      ...(mappings && { osmorphingPoolMappings: mappings }),
    });
  });
  return deploymentId;
}

/** Enough to find a completed run among; older ones are of other types then. */
const LOOK_BACK = 100;

async function refuseUnexecuted(db: store.Db, transfer: store.Transfer): Promise<void> {
  const completed = await store.listExecutions(db, transfer.id, { status: 'COMPLETED', limit: LOOK_BACK });
  if (!completed.some((execution) => execution.type === 'transfer_execution')) {
    throw badRequest('A transfer must have been executed successfully at least once in order to be deployed');
  }
}
