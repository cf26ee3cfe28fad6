import { ACTIVE_EXECUTION_STATUSES, errorCatalogue } from '@godwit/domain';
import { type Db, listServices, readTallies, type Tally } from '@godwit/store';
import { sql } from 'kysely';
import { Counter, Gauge, type Registry } from 'prom-client';

/** Why a task waits. */
const REASONS = ['execution', 'earlier_task', 'turn', 'no_worker'] as const;
type Reason = (typeof REASONS)[number];

const COUNTERS: readonly { name: string; help: string; labelName?: string; of: Partial<Record<Tally, string>> }[] = [
  {
    name: 'godwit_recoveries_total',
    help: 'Tasks that were begun again because their worker had died',
    of: { recoveries: '' },
  },
  {
    name: 'godwit_verify_mismatches_total',
    help: 'Copies that ended because the target did not hold what was written to it',
    of: { verify_mismatches: '' },
  },
  {
    name: 'godwit_proven_disks_total',
    help: 'Disks copied and proven, once for each execution',
    of: { disks_proven: '' },
  },
  {
    name: 'godwit_copied_bytes_total',
    help: 'Bytes of proven disks: read at the source, sent, zeroed, skipped because the target held them, sent again after an interruption',
    labelName: 'kind',
    of: {
      bytes_read: 'read',
      bytes_sent: 'sent',
      bytes_zeroed: 'zeroed',
      bytes_skipped: 'skipped',
      bytes_resent: 'resent',
    },
  },
];

/** What waits, what was done over the life of the installation, what is left behind. */
export function countWork(db: Db, counts: Registry, names: Registry): void {
  for (const { name, help, labelName, of } of COUNTERS) {
    new Counter({
      name,
      help,
      labelNames: labelName === undefined ? [] : [labelName],
      registers: [counts],
      async collect() {
        const tallies = await readTallies(db);
        this.reset();
        for (const [tally, label] of Object.entries(of)) {
          this.inc(labelName === undefined ? {} : { [labelName]: label }, tallies[tally as Tally]);
        }
      },
    });
  }
  new Gauge({
    name: 'godwit_tasks_waiting',
    help: 'Tasks of the running executions that have not begun: their execution is not taken yet (execution), a task before them runs (earlier_task), workers are busy (turn), no worker fits (no_worker)',
    labelNames: ['reason'],
    registers: [counts],
    async collect() {
      const waiting = await waitingTasks(db);
      for (const reason of REASONS) this.set({ reason }, waiting.get(reason) ?? 0);
    },
  });
  new Gauge({
    name: 'godwit_queue_age_seconds',
    help: 'How long the execution or the copy that waits longest has been waiting for a worker; 0: none does',
    registers: [counts],
    async collect() {
      this.set(await queueAge(db));
    },
  });
  new Gauge({
    name: 'godwit_ledger_entries',
    help: 'Things that Godwit has made on platforms and that are there, or about to be, by state',
    labelNames: ['state'],
    registers: [counts],
    async collect() {
      const rows = await db
        .selectFrom('ledger')
        .select((eb) => ['state', eb.fn.countAll<number>().as('count')])
        .where('state', '<>', 'removed')
        .groupBy('state')
        .execute();
      for (const state of ['intended', 'made', 'removing'] as const) {
        this.set({ state }, Number(rows.find((row) => row.state === state)?.count ?? 0));
      }
    },
  });
  new Gauge({
    name: 'godwit_ledger_leftovers',
    help: 'Things that nobody needs any more and that could not be removed yet',
    registers: [counts],
    async collect() {
      const row = await db
        .selectFrom('ledger')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('state', '<>', 'removed')
        .where('last_error', 'is not', null)
        .executeTakeFirstOrThrow();
      this.set(Number(row.count));
    },
  });
  new Gauge({
    name: 'godwit_worker_up',
    help: 'Each worker: 1 while its heartbeat is younger than 30 s',
    labelNames: ['host', 'executor', 'enabled'],
    registers: [names],
    async collect() {
      this.reset();
      for (const { enabled, executor_id: executor, host, status } of await listServices(db)) {
        this.set({ host, executor: executor ?? '', enabled: String(enabled) }, status === 'UP' ? 1 : 0);
      }
    },
  });
}

/** Words with which a task is told that no worker fits. */
const NO_WORKER = `%${errorCatalogue.NO_WORKER.remedy}%`;

async function waitingTasks(db: Db): Promise<Map<Reason, number>> {
  const { rows } = await sql<{ reason: Reason; count: number }>`
    select case
        when exists (select from task_event where task_id = task.id and message like ${NO_WORKER}) then 'no_worker'
        when task.status = 'PENDING' then 'turn'
        when execution.started_at is null then 'execution'
        else 'earlier_task' end as reason, count(*) as count
    from execution join task on task.execution_id = execution.id
    where execution.status in (${sql.join([...ACTIVE_EXECUTION_STATUSES])}) and task.status in ('SCHEDULED', 'PENDING')
    group by 1`.execute(db);
  return new Map(rows.map(({ count, reason }) => [reason, Number(count)]));
}

async function queueAge(db: Db): Promise<number> {
  const { rows } = await sql<{ age: number }>`
    select coalesce(extract(epoch from clock_timestamp() - min(since)), 0)::float8 as age from (
      select updated_at as since from task where status = 'PENDING'
      union all
      select created_at from execution where status = 'RUNNING' and started_at is null) as waiting`.execute(db);
  return Math.max(0, rows[0]?.age ?? 0);
}
