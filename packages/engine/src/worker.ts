import { mkdir, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk';
import { CopyPool } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import {
  type Connection,
  connect,
  isMigrated,
  keysInUse,
  putSetting,
  type SecretBox,
  signOffService,
} from '@godwit/store';
import type pg from 'pg';
import { type Logger, pino } from 'pino';
import { Balance } from './balance.ts';
import { CallServer } from './call-server.ts';
import { CANCEL_CHANNEL, lookForCancels } from './cancel.ts';
import {
  APPLICATION,
  CALL_CHANNEL,
  CONTRACT_VERSION,
  CONTROL_QUEUE,
  DEFAULT_REGION,
  EXECUTION_WORKFLOW,
  GIVE_UP_CHANNEL,
  POOL_WORKFLOW,
  QUEUE_CHANNEL,
  REAP_CHANNEL,
  ROOM_CHANNEL,
  regionQueue,
  TASK_CHANNEL,
  TASK_WORKFLOW,
} from './contract.ts';
import { whileDatabaseIsAway } from './database-retry.ts';
import { durableLog } from './durable-log.ts';
import { boundedUrl, openDurablePool } from './durable-pool.ts';
import { Heart } from './heart.ts';
import { Listener } from './listener.ts';
import { hurry, hurryAll, listenTo, queuesOf } from './listening.ts';
import { OVERLOOKED_EVERY_MS, wakeOverlooked } from './overlooked.ts';
import { keepPools, UPKEEP_EVERY_MS } from './pools/upkeep.ts';
import { type ProviderLoaders, ProviderRegistry } from './provider-registry.ts';
import { RateLimits } from './rate-limits.ts';
import { REAPER_EVERY_MS, reap } from './reaper.ts';
import { type ReceiptSigner, receiptKeySetting } from './receipt-signer.ts';
import { forgetOld, RETENTION_EVERY_MS } from './retention.ts';
import { DEFAULT_RETRY, type RetryPolicy } from './retry-policy.ts';
import { Rounds } from './rounds.ts';
import { Runs } from './runs.ts';
import { fireSchedules, SCHEDULES_EVERY_MS } from './schedules.ts';
import { beat, holdSlot, type Offer, readService, register, type ServicePlace, type Slot } from './service.ts';
import { TAKEOVER_EVERY_MS, Takeover } from './takeover.ts';
import { Turns } from './turns.ts';
import { explainWaiting, WAITING_EVERY_MS } from './waiting.ts';
import type { WorkerContext } from './worker-context.ts';
import { walkExecution } from './workflows/execution.ts';
import { walkPool } from './workflows/pool.ts';
import { runQueuedTask } from './workflows/task.ts';

/** Milliseconds between looks at a queue that no notice asks for: what a lost notice costs, against two queries a look. */
const POLL_MS = 100;
/** Milliseconds between the notice that something has ended and the look for what may begin instead. */
const ROOM_MS = 3;
/** Light tasks of this worker at one endpoint at once. */
const LIGHT_TASKS = 8;

export interface WorkerOptions {
  /** Postgres, migrated by somebody else: a worker waits until it is. */
  databaseUrl: string;
  providers: ProviderLoaders;
  secrets: SecretBox;
  signer: ReceiptSigner;
  /** Where the worker makes its private folder. Short: socket paths end at 107 bytes. */
  workDir: string;
  log?: Logger;
  /** Name of this machine in the service table. Default: the host name. */
  host?: string;
  /** Names of regions this worker serves, made when they do not exist. Default: those the service row is mapped to. */
  regions?: string[];
  /** Of Godwit, shown with the service. */
  version?: string;
  /** Instances replicated at once in this worker. Default 4, 1 and up. */
  copies?: number;
  /** Disks copied at once in this worker, each in a thread of its own; others wait. Default 4, 1 and up. */
  diskCopies?: number;
  /** Instances replicated at once from one source endpoint, over all workers. Default 8, 1 and up. */
  copiesPerEndpoint?: number;
  /** Days after which ended executions and events are forgotten. Default 30. */
  retentionDays?: number;
  retry?: Partial<RetryPolicy>;
  /** See WorkerContext.reach. */
  reach?: (point: string) => Promise<void>;
  /** Milliseconds between looks at a queue that no notice asks for, for tests of what notices alone do. Default 100. */
  pollMs?: number;
  /** Shorter times, for tests of what happens when they are over. */
  heartbeat?: { everyMs?: number; limitMs?: number };
  /** Shorter time, for tests: milliseconds that an old heartbeat is seen to stand still before its worker counts as dead. Default 7,000. */
  standsStillMs?: number;
}

export interface Worker {
  readonly serviceId: string;
  readonly executorId: string;
  /**
   * `stopped` after stop(); `lost` when it could not tell for 20 s that it lives: it has stopped touching disks, and its
   * process must end and be started anew.
   */
  readonly ended: Promise<'stopped' | 'lost'>;
  /** Interrupts what runs, leaves it to be resumed, and closes everything. At most about 3 s. */
  stop(): Promise<void>;
}

/**
 * Starts the one worker of this process (the durable engine is a singleton). Resolves when it takes work. Waits for a
 * database that is not there or not migrated yet.
 *
 * @throws GodwitError SECRET_KEY_MISSING when it could not open what is sealed in the database; DATABASE_NEWER
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const log = options.log ?? pino({ level: 'silent' });
  // A frozen worker must not hold a lock for ever: the database ends transactions that stand still.
  const connection = connect(boundedUrl(options.databaseUrl, 20_000), {
    applicationName: 'godwit-worker',
    max: 8,
    pipeline: true,
  });
  // Four for workflows and queues, two for what else is asked of the durable engine.
  const durablePool = openDurablePool(options.databaseUrl, 6, log);
  const providers = new ProviderRegistry(options.providers);
  const host = options.host ?? os.hostname();
  const stopping = new AbortController();
  try {
    await untilMigrated(connection, log, stopping.signal);
    // Here, and not in each task that it would take from workers that can do it.
    for (const id of await keysInUse(connection.pool)) options.secrets.requireKey(id);
    return await begin({ ...options, log, durablePool }, connection, providers, host);
  } catch (error) {
    await Promise.all([connection.close(), durablePool.end()]);
    throw GodwitError.wrap(error, 'DATABASE_UNAVAILABLE', 'the database');
  }
}

type LaunchOptions = WorkerOptions & { log: Logger; durablePool: pg.Pool };

async function begin(
  options: LaunchOptions,
  connection: Connection,
  providers: ProviderRegistry,
  host: string,
): Promise<Worker> {
  const { log, databaseUrl } = options;
  const { db } = connection;
  const ended = Promise.withResolvers<'stopped' | 'lost'>();
  const slot: Slot = { host, number: undefined };
  const ears: Ears = { live: undefined };
  const listener = await Listener.start({
    databaseUrl,
    log,
    name: 'godwit-worker-ears',
    channels: earChannels(ears),
    onConnect: async (session) => {
      await holdSlot(session, slot);
      ears.live?.catchUp();
    },
  });
  const durable = await DBOSClient.create({
    systemDatabaseUrl: databaseUrl,
    systemDatabasePool: options.durablePool,
    // What is asked of it is little at a time: a limit would be three more round trips for each question.
    observabilityQueryTimeoutMs: 0,
    applicationName: APPLICATION,
    logger: durableLog(log),
  });
  await putSetting(db, receiptKeySetting(options.signer.keyId), options.signer.publicPem);
  const offer: Offer = {
    providers: providers.names,
    copies: copiesOf(options),
    ...(options.regions !== undefined && { regions: options.regions }),
    ...(options.version !== undefined && { version: options.version }),
  };
  const service = await register(db, slot, offer);
  const workDir = path.join(options.workDir, String(slot.number ?? 0));
  await emptyFolder(workDir);
  let launched = false;
  /** As the durable engine was told last. */
  let followed = { ...service };
  const heart = new Heart({
    log,
    ...options.heartbeat,
    beat: () => beat(worker, slot, offer),
    follow: async () => {
      await readService(worker);
      if (!launched) return;
      await followService(options, worker, followed);
      followed = { ...worker.service };
    },
  });
  const runs = new Runs(heart.signal);
  const worker: WorkerContext = {
    connection,
    db,
    durable,
    providers,
    secrets: options.secrets,
    signer: options.signer,
    log: log.child({ worker: service.executorId }),
    heart,
    runs,
    copies: new CopyPool({ copies: options.diskCopies ?? 4 }),
    rates: new RateLimits(db),
    get balance() {
      return balance;
    },
    turns: new Turns(LIGHT_TASKS),
    retry: { ...DEFAULT_RETRY, ...options.retry },
    service,
    workDir,
    endpointFolders: new Map(),
    reach: options.reach ?? (() => Promise.resolve()),
  };
  const balance = new Balance(worker);
  heart.signal.addEventListener('abort', () => {
    if (!stopped) ended.resolve('lost');
  });
  let stopped = false;
  const calls = new CallServer(worker);
  const rounds = new Rounds(worker);
  const takeover = new Takeover(worker, options.standsStillMs);
  rounds.add('takeover', TAKEOVER_EVERY_MS, () => takeover.look());
  rounds.add('reaper', REAPER_EVERY_MS, () => reap(worker));
  rounds.add('waiting', WAITING_EVERY_MS, () => explainWaiting(worker.db));
  rounds.add('retention', RETENTION_EVERY_MS, () => forgetOld(worker, options.retentionDays ?? 30, new Date()));
  rounds.add('overlooked', OVERLOOKED_EVERY_MS, () => wakeOverlooked(worker));
  rounds.add('cancel', 5_000, () => lookForCancels(worker));
  rounds.add('schedules', SCHEDULES_EVERY_MS, () => fireSchedules(worker));
  rounds.add('pools', UPKEEP_EVERY_MS, () => keepPools(worker));
  rounds.add('rates', 5_000, () => worker.rates.refresh());
  rounds.add('calls', 2_000, async () => calls.look());

  heart.start();
  await launchDurable(options, worker);
  launched = true;
  await calls.begin();
  ears.live = {
    canceled: (executionId) => void lookForCancels(worker, executionId),
    taskEnded: (executionId) => runs.wake(executionId),
    call: () => calls.look(),
    gaveUp: (id) => calls.giveUp(id),
    reapable: () => rounds.hurry('reaper'),
    catchUp: () => {
      hurryAll();
      runs.wakeAll();
      rounds.hurry('cancel');
      calls.look();
    },
  };
  rounds.start();
  log.info({ executor: service.executorId, providers: providers.names }, 'worker takes work');

  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    heart.stop(new GodwitError('CANCELED', 'this worker'));
    rounds.stop();
    await DBOS.shutdown();
    // What runs is interrupted by the heart's signal; it gets a moment to let go of files, servers and threads.
    for (let tries = 0; runs.taskIds.length > 0 && tries < 40; tries += 1) await sleep(50);
    await worker.copies.close();
    await signOffService(db, service.id).catch((error: unknown) => log.debug({ err: error }, 'could not sign off'));
    await listener.close();
    await durable.destroy();
    await options.durablePool.end();
    await connection.close();
    ended.resolve('stopped');
  };
  return { serviceId: service.id, executorId: service.executorId, ended: ended.promise, stop };
}

/** What the worker does when it hears something. */
interface Ears {
  live:
    | {
        canceled(executionId: string): void;
        taskEnded(executionId: string): void;
        call(): void;
        gaveUp(id: string): void;
        reapable(): void;
        catchUp(): void;
      }
    | undefined;
}

const earChannels = (ears: Ears): Record<string, (payload: string) => void> => ({
  [QUEUE_CHANNEL]: hurry,
  // The one that had it counts it among what it runs for another moment. Walks have room as a rule.
  [ROOM_CHANNEL]: (queue) => {
    if (queue !== CONTROL_QUEUE) setTimeout(() => hurry(queue), ROOM_MS).unref();
  },
  [CANCEL_CHANNEL]: (id) => ears.live?.canceled(id),
  [TASK_CHANNEL]: (id) => ears.live?.taskEnded(id),
  [CALL_CHANNEL]: () => ears.live?.call(),
  [GIVE_UP_CHANNEL]: (id) => ears.live?.gaveUp(id),
  [REAP_CHANNEL]: () => ears.live?.reapable(),
});

async function launchDurable(options: LaunchOptions, worker: WorkerContext): Promise<void> {
  const regions = [DEFAULT_REGION, ...worker.service.regions];
  await worker.durable.registerQueue(CONTROL_QUEUE, {
    // A walk costs some kilobytes while its copies run: this bounds memory, not speed.
    workerConcurrency: 500,
    minPollingIntervalMs: options.pollMs ?? POLL_MS,
  });
  for (const region of regions) await openRegion(options, worker, region);
  DBOS.setConfig({
    name: APPLICATION,
    systemDatabaseUrl: options.databaseUrl,
    systemDatabasePool: options.durablePool,
    executorID: worker.service.executorId,
    applicationVersion: CONTRACT_VERSION,
    runMigrations: false,
    useListenNotify: false,
    listenQueues: queuesOf(worker.service),
    logger: durableLog(worker.log),
  });
  // Kills are no fault of the work: it is resumed as often as it takes.
  const maxRecoveryAttempts = 1_000_000_000;
  DBOS.registerWorkflow((id: string) => untilDone(worker, () => walkExecution(worker, id)), {
    name: EXECUTION_WORKFLOW,
    maxRecoveryAttempts,
  });
  DBOS.registerWorkflow((id: string) => untilDone(worker, () => runQueuedTask(worker, id)), {
    name: TASK_WORKFLOW,
    maxRecoveryAttempts,
  });
  DBOS.registerWorkflow((id: string, no: number) => untilDone(worker, () => walkPool(worker, id, no)), {
    name: POOL_WORKFLOW,
    maxRecoveryAttempts,
  });
  await DBOS.launch();
  hurryAll();
}

const copiesOf = (options: WorkerOptions): number => options.copies ?? 4;

async function openRegion(options: WorkerOptions, worker: WorkerContext, region: string): Promise<void> {
  await worker.durable.registerQueue(regionQueue(region), {
    workerConcurrency: copiesOf(options),
    partitionConcurrency: Math.max(copiesOf(options), options.copiesPerEndpoint ?? 8),
    minPollingIntervalMs: options.pollMs ?? POLL_MS,
  });
}

/** After a heartbeat: takes work from the regions it has been given meanwhile, from none while it is disabled. */
async function followService(options: WorkerOptions, worker: WorkerContext, before: ServicePlace): Promise<void> {
  const { log, runs, service } = worker;
  for (const region of service.regions) if (!before.regions.has(region)) await openRegion(options, worker, region);
  listenTo(service);
  if (service.enabled === before.enabled) return;
  log.warn(service.enabled ? 'enabled: takes work' : 'disabled: takes no new work and ends what it has begun');
  runs.wakeAll();
}

/**
 * A workflow returns only when its work is done. When the worker ends it never returns, so that the workflow stays open for
 * its successor; what fails for an unforeseen reason is begun again, for leaving it would leave an execution for ever
 * RUNNING.
 */
async function untilDone(worker: WorkerContext, work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (worker.heart.alive()) worker.log.error({ err: error }, 'a workflow failed; it begins again');
    }
    if (!worker.heart.alive()) return new Promise<never>(() => undefined);
    await sleep(2_000, undefined, { signal: worker.heart.signal }).catch(() => undefined);
  }
}

async function untilMigrated(connection: Connection, log: Logger, signal: AbortSignal): Promise<void> {
  for (let told = false; ; told = true) {
    const ready = await whileDatabaseIsAway({ log, signal }, () => isMigrated(connection));
    if (ready) return;
    if (!told) log.info('waiting for the database to be migrated');
    await sleep(200, undefined, { signal });
  }
}

async function emptyFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) await rm(path.join(folder, name), { recursive: true, force: true });
}
