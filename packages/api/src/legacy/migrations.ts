import { ACTIVE_EXECUTION_STATUSES } from '@godwit/domain';
import * as store from '@godwit/store';
import type { FastifyRequest } from 'fastify';
import { actionOf, forceOf } from '../action-body.ts';
import { executionsToWire } from '../action-reader.ts';
import type { App } from '../app.ts';
import { type ApiContext, callerOf, noContent, scopeOf } from '../context.ts';
import { onAction } from '../engine-refusal.ts';
import { flag } from '../list-query.ts';
import { badRequest, found, invalidInput } from '../request-error.ts';
import { createDeployment, runsOf } from '../routes/deployments.ts';
import { createTransfer } from '../routes/transfers.ts';
import { CancelBody } from '../schemas/execution.ts';
import { NoContent, Params, Query } from '../schemas/params.ts';
import { deploymentToWire, transferToWire } from '../wire/action.ts';
import { tasksToWire } from '../wire/execution.ts';
import { directMigration, migrationOfReplica, migrationStatus } from './objects.ts';
import { MigrationAnswer, type MigrationBody, MigrationCreate, MigrationsAnswer } from './schemas.ts';

/**
 * The older dialect's migrations: the deployment of a replica, or a live migration with all its runs. Which of the two an
 * id names is seen by the table that has it.
 */
export function migrationRoutes(app: App, api: ApiContext): void {
  const { db } = api;
  const tags = ['legacy'];
  const params = Params('migration_id');

  async function migrationNamed(id: string, scope: store.Scope) {
    const transfer = await store.getTransfer(db, id, scope);
    if (transfer?.scenario === 'live_migration') return { transfer };
    const deployment = await store.getDeployment(db, id, scope);
    return { deployment: found(deployment, 'Migration', id) };
  }

  async function oneToWire(id: string, scope: store.Scope) {
    const { transfer, deployment } = await migrationNamed(id, scope);
    if (deployment !== undefined) {
      const runs = await runsOf(db, [deployment]);
      return migrationOfReplica(deploymentToWire(deployment, runs.get(id)));
    }
    const [rows, deployments] = await Promise.all([
      store.executionsOfActions(db, [id]),
      store.latestDeployments(db, [id]),
    ]);
    const runs = rows.get(id) ?? [];
    const executions = await executionsToWire(db, runs);
    const last = deployments.get(id);
    const booted = last && (await runsOf(db, [last])).get(last.id);
    const tasks = [
      ...executions.filter((run) => run.type === 'transfer_execution').flatMap((run) => run.tasks),
      ...(booted ? tasksToWire(booted.tasks) : []),
    ];
    return directMigration(transferToWire(transfer), {
      deployment: last && deploymentToWire(last, null),
      tasks,
      ...seriesOf(runs.at(-1)),
    });
  }

  for (const path of ['/migrations', '/migrations/detail']) {
    app.get(
      path,
      {
        schema: {
          operationId: path === '/migrations' ? 'listMigrations' : 'listMigrationsDetail',
          summary: 'Migrations in the words of the older dialect',
          tags,
          querystring: Query({ show_deleted: 'Default false' }),
          response: { 200: MigrationsAnswer },
        },
      },
      async (request) => {
        const scope = scopeOf(request);
        const showDeleted = flag(request.query, 'show_deleted');
        const [deployments, transfers] = await Promise.all([
          store.listDeployments(db, scope, { scenario: 'replica', showDeleted }),
          store.listTransfers(db, scope, { scenario: 'live_migration', showDeleted }),
        ]);
        const ids = transfers.map((row) => row.id);
        const [last, runs] = await Promise.all([store.latestDeployments(db, ids), store.latestExecutions(db, ids)]);
        const migrations = [
          ...deployments.map((row) => migrationOfReplica(deploymentToWire(row, null))),
          ...transfers.map((row) => {
            const deployment = last.get(row.id);
            return directMigration(transferToWire(row), {
              deployment: deployment && deploymentToWire(deployment, null),
              tasks: null,
              ...seriesOf(runs.get(row.id)),
            });
          }),
        ];
        return { migrations: migrations.sort((a, b) => (a.created_at < b.created_at ? 1 : -1)) };
      },
    );
  }

  app.get(
    '/migrations/:migration_id',
    {
      schema: {
        operationId: 'getMigration',
        summary: 'One migration with the tasks of all its runs',
        tags,
        params,
        response: { 200: MigrationAnswer },
      },
    },
    async (request) => ({ migration: await oneToWire(request.params.migration_id, scopeOf(request)) }),
  );

  app.post(
    '/migrations',
    {
      schema: {
        operationId: 'createMigration',
        summary: 'Deploy a replica, or move instances in one go',
        description:
          'Direct: replication_count executions follow each other, the last one with shutdown_instances; then the disks are deployed.',
        tags,
        body: MigrationCreate,
        response: { 200: MigrationAnswer },
      },
    },
    async (request) => {
      const body = request.body.migration;
      const id = body.replica_id
        ? await createDeployment(api, request, { ...body, transfer_id: body.replica_id })
        : await startDirect(api, request, body);
      return { migration: await oneToWire(id, undefined) };
    },
  );

  app.delete(
    '/migrations/:migration_id',
    {
      schema: {
        operationId: 'deleteMigration',
        summary: 'Forget a migration that has ended',
        tags,
        params,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const id = request.params.migration_id;
      const { transfer, deployment } = await migrationNamed(id, scopeOf(request));
      if (transfer) request.demand('migration:transfers:delete');
      const deployments = deployment ? [deployment] : await store.deploymentsOfTransfer(db, id);
      const status = deployment?.last_execution_status ?? statusOf(transfer, deployments);
      if (status === 'PENDING' || ACTIVE_EXECUTION_STATUSES.includes(status)) {
        throw badRequest(`Cannot delete Migration '${id}' as it is currently in '${status}' state.`);
      }
      await onAction(async () => {
        for (const one of deployments) await api.engine.deleteDeployment(one.id);
        if (transfer) await api.engine.deleteTransfer(id);
      });
      return noContent(reply);
    },
  );

  app.post(
    '/migrations/:migration_id/actions',
    {
      schema: {
        operationId: 'actOnMigration',
        summary: 'cancel: end a running migration; with force at once',
        tags,
        params,
        body: CancelBody,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const { argument } = actionOf(request.body, ['cancel']);
      const force = forceOf(argument);
      const id = request.params.migration_id;
      const { transfer, deployment } = await migrationNamed(id, scopeOf(request));
      if (transfer) request.demand('migration:transfer_executions:cancel');
      const active = transfer ? await store.activeExecutions(db, id) : [];
      const booting = deployment ?? (await store.deploymentsOfTransfer(db, id)).at(-1);
      const status = active[0]?.status ?? booting?.last_execution_status;
      if (status === undefined || (status !== 'PENDING' && !ACTIVE_EXECUTION_STATUSES.includes(status))) {
        throw badRequest(`Migration '${id}' is not currently running`);
      }
      if (status === 'CANCELLING' && !force) {
        throw badRequest(
          `Migration '${id}' is already being cancelled. Please use the force option if you'd like to force-cancel it.`,
        );
      }
      await onAction(async () => {
        if (active[0] !== undefined) await api.engine.cancelExecution(active[0].id, force);
        else if (booting !== undefined) await api.engine.cancelDeployment(booting.id, force);
      });
      return noContent(reply);
    },
  );
}

/** The last run knows which of how many it is; one that was started alone is the only one. */
function seriesOf(run: store.Execution | undefined): { shutdown: boolean; count: number } {
  const { series, shutdown_instances } = run?.options ?? {};
  return { shutdown: series?.shutdown ?? shutdown_instances ?? false, count: series?.of ?? 1 };
}

function statusOf(transfer: store.Transfer | undefined, deployments: readonly store.Deployment[]) {
  return migrationStatus(transfer?.last_execution_status ?? 'UNEXECUTED', deployments.at(-1)?.last_execution_status);
}

async function startDirect(api: ApiContext, request: FastifyRequest, body: MigrationBody): Promise<string> {
  request.demand('migration:transfers:create');
  request.demand('migration:transfer_executions:create');
  const lacking = (['origin_endpoint_id', 'destination_endpoint_id'] as const).find((key) => !body[key]);
  if (lacking !== undefined) throw badRequest(`The migration creation body lacks a required attribute: "${lacking}"`);
  const runs = body.replication_count ?? 2;
  if (runs < 1 || runs > 10) {
    throw invalidInput(`'replication_count' must be an integer between 1 and 10. Got: ${runs}`);
  }
  const { replica_id: _replica, replication_count: _count, shutdown_instances, force: _force, ...rest } = body;
  const transfer = await createTransfer(api, request, {
    ...rest,
    origin_endpoint_id: body.origin_endpoint_id ?? '',
    destination_endpoint_id: body.destination_endpoint_id ?? '',
    instances: body.instances ?? [],
    scenario: 'live_migration',
    // Nothing stays behind to replicate to: the instance takes the disks themselves.
    clone_disks: false,
  });
  await api.engine.executeTransfer({
    transferId: transfer.id,
    userId: callerOf(request).userId,
    shutdownInstances: shutdown_instances ?? false,
    autoDeploy: true,
    runs,
  });
  return transfer.id;
}
