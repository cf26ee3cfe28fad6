import { createHash } from 'node:crypto';
import { GodwitError } from '@godwit/domain';
import type { MachineRequest, PoolProvider, PoolRequest, ProviderContext } from '@godwit/provider';
import { type MinionMachine, type MinionPool, openConnectionInfo } from '@godwit/store';
import type { DatabaseRetry } from '../database-retry.ts';
import { whileDatabaseIsAway } from '../database-retry.ts';
import { taskLedger } from '../ledger.ts';
import { endpointWorkDir } from '../task-context.ts';
import type { WorkerContext } from '../worker-context.ts';

/** A pool's provider, ready to be called. */
export interface PoolPlace {
  readonly pool: MinionPool;
  readonly provider: PoolProvider;
  readonly request: PoolRequest;
  /** For calls about one machine, or about what all share. */
  context(machine?: MinionMachine): ProviderContext;
  machine(machine: MinionMachine): MachineRequest;
}

/**
 * @param say a line for people
 * @throws GodwitError NOT_FOUND (endpoint), UNSUPPORTED (no pools there), DATABASE_UNAVAILABLE
 */
export async function openPoolPlace(
  worker: WorkerContext,
  pool: MinionPool,
  retry: DatabaseRetry & { signal: AbortSignal },
  say: (message: string) => void,
): Promise<PoolPlace> {
  const { db } = worker;
  const endpoint = await whileDatabaseIsAway(retry, () =>
    db.selectFrom('endpoint').select(['id', 'name', 'type']).where('id', '=', pool.endpoint_id).executeTakeFirst(),
  );
  if (endpoint === undefined) throw new GodwitError('NOT_FOUND', `Endpoint with ID '${pool.endpoint_id}'`);
  const { pools } = await worker.providers.get(endpoint.type);
  if (pools === undefined) throw new GodwitError('UNSUPPORTED', `endpoint ${endpoint.name}`, { what: 'minion pools' });
  const connectionInfo = await whileDatabaseIsAway(retry, () => openConnectionInfo(db, worker.secrets, endpoint.id));
  const workDir = await endpointWorkDir(worker, endpoint.id);
  const base = { side: pool.platform, osType: pool.os_type, environment: pool.environment_options };
  return {
    pool,
    provider: pools,
    request: { ...base, key: keyOf('gwp', pool.id) },
    context: (machine) => ({
      endpoint: `endpoint ${endpoint.name}`,
      connectionInfo,
      signal: retry.signal,
      workDir,
      progress: say,
      ledger: taskLedger(
        db,
        { projectId: pool.project_id, endpointId: endpoint.id, poolId: pool.id, machineId: machine?.id ?? null },
        retry,
      ),
    }),
    machine: (machine) => ({ ...base, key: keyOf('gwm', machine.id), shared: pool.shared_resources ?? {} }),
  };
}

/** 80 bits: enough that two names of one endpoint never meet. */
const keyOf = (prefix: string, id: string): string =>
  `${prefix}-${createHash('sha256').update(id).digest('hex').slice(0, 20)}`;
