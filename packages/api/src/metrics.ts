import { ACTIVE_EXECUTION_STATUSES, EXECUTION_STATUSES } from '@godwit/domain';
import { type Db, listServices } from '@godwit/store';
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { AuditTrail } from './audit.ts';
import type { EventFeed } from './event-feed.ts';
import { countWork } from './work-metrics.ts';

/** Seconds; the first ones tell reads that hit the database once from those that do more. */
const BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30];

/** What is measured: counts that anybody may see, and what tells names of tenants' things. */
export interface Metrics {
  counts: Registry;
  names: Registry;
}

/** Prometheus metrics of this process and of the installation. The latter are read when somebody asks. */
export function countRequests(app: FastifyInstance, db: Db, feed: EventFeed, trail: AuditTrail): Metrics {
  const registers = [new Registry()];
  const registry = registers[0]!;
  // Event loop lag, heap, garbage collection, open handles.
  collectDefaultMetrics({ register: registry });

  const requests = new Histogram({
    name: 'godwit_http_request_seconds',
    help: 'Time from the first byte of a request to the last of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS,
    registers,
  });
  app.addHook('onResponse', async (request, reply) => {
    // The pattern, never the URL: identifiers would make a series each.
    const route = (request.routeOptions.url ?? 'unrouted').replace('/v1/:project_id/', '/v1/');
    requests.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1_000);
  });

  new Gauge({
    name: 'godwit_event_streams',
    help: 'Readers of the event stream',
    registers,
    collect() {
      this.set(feed.size);
    },
  });
  new Gauge({
    name: 'godwit_audit_waiting',
    help: 'Audit records that are not written yet; at their most, changes are refused',
    registers,
    collect() {
      this.set(trail.waiting);
    },
  });
  new Gauge({
    name: 'godwit_executions',
    help: 'Executions by status',
    labelNames: ['status'],
    registers,
    async collect() {
      const rows = await db
        .selectFrom('execution')
        .select((eb) => ['status', eb.fn.countAll<number>().as('count')])
        .where('deleted_at', 'is', null)
        .groupBy('status')
        .execute();
      for (const status of EXECUTION_STATUSES) {
        this.set({ status }, Number(rows.find((row) => row.status === status)?.count ?? 0));
      }
    },
  });
  new Gauge({
    name: 'godwit_services',
    help: 'Workers by status',
    labelNames: ['status'],
    registers,
    async collect() {
      const services = await listServices(db);
      for (const status of ['UP', 'DOWN', 'UNKNOWN'] as const) {
        this.set({ status }, services.filter((service) => service.status === status).length);
      }
    },
  });
  new Gauge({
    name: 'godwit_running_disks',
    help: 'Disks of the running executions',
    registers,
    async collect() {
      this.set((await runningDisks(db)).length);
    },
  });
  new Gauge({
    name: 'godwit_running_disk_bytes',
    help: 'Bytes of the disks of the running executions: their size, and what is done, read, sent and skipped',
    labelNames: ['kind'],
    registers,
    async collect() {
      const disks = await runningDisks(db);
      for (const kind of KINDS) {
        this.set(
          { kind },
          disks.reduce((sum, { disk }) => sum + disk[kind], 0),
        );
      }
    },
  });
  const named = new Registry();
  countWork(db, registry, named);
  new Gauge({
    name: 'godwit_disk_bytes',
    help: 'Bytes of each disk of the running executions: its size, and what is done, read, sent and skipped',
    labelNames: ['transfer', 'vm', 'disk', 'kind'],
    registers: [named],
    async collect() {
      this.reset();
      for (const { transfer, vm, disk } of await runningDisks(db)) {
        for (const kind of KINDS) this.set({ transfer, vm, disk: disk.disk_id, kind }, disk[kind]);
      }
    },
  });
  return { counts: registry, names: named };
}

const KINDS = ['size', 'done', 'read', 'sent', 'skipped'] as const;

async function runningDisks(db: Db) {
  const rows = await db
    .selectFrom('execution')
    .innerJoin('task', 'task.execution_id', 'execution.id')
    .innerJoin('progress_update', 'progress_update.task_id', 'task.id')
    .select(['execution.action_id as transfer', 'task.instance as vm', 'progress_update.disk as disk'])
    .where('execution.status', 'in', [...ACTIVE_EXECUTION_STATUSES])
    .where('progress_update.disk', 'is not', null)
    .orderBy('progress_update.index')
    .execute();
  return rows.flatMap(({ transfer, vm, disk }) => (disk === null ? [] : [{ transfer, vm, disk }]));
}
