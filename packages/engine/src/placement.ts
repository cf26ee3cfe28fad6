import type { TaskType } from '@godwit/domain';
import type { Db } from '@godwit/store';
import { mappedRegions, type Transfer } from '@godwit/store';
import { DEFAULT_REGION } from './contract.ts';
import type { WorkerContext } from './worker-context.ts';

/** Which end of a transfer a task works at. */
const SOURCE_TASKS: readonly TaskType[] = [
  'VALIDATE_TRANSFER_SOURCE_INPUTS',
  'UPDATE_SOURCE_TRANSFER',
  'GET_INSTANCE_INFO',
  'SHUTDOWN_INSTANCE',
  'DELETE_TRANSFER_SOURCE_RESOURCES',
  'DELETE_TRANSFER_SOURCE_DISK_SNAPSHOTS',
  'VALIDATE_SOURCE_MINION_POOL_COMPATIBILITY',
  'RELEASE_SOURCE_MINION',
];
const BOTH: readonly TaskType[] = ['REPLICATE_DISKS'];

/** Long or heavy work: always through the queue of a region, where it is counted per endpoint and per worker. */
const HEAVY: readonly TaskType[] = ['REPLICATE_DISKS'];

/** The end at which a task works; a copy works at both, and counts at the source. */
export function endOf(type: TaskType): 'origin' | 'destination' {
  return SOURCE_TASKS.includes(type) || BOTH.includes(type) ? 'origin' : 'destination';
}

/** Heavy tasks are counted by their queue. */
export const isHeavy = (type: TaskType): boolean => HEAVY.includes(type);

/** Where a task runs: in the process that walks the execution, or on any worker of a region. */
export type Place = { here: true } | { here: false; region: string; endpoint: string };

/** The ends of an action and the regions they are reached from; none: from everywhere. */
export interface Ends {
  origin: { id: string; regions: readonly string[] };
  destination: { id: string; regions: readonly string[] };
}

export async function endsOf(
  db: Db,
  action: Pick<Transfer, 'origin_endpoint_id' | 'destination_endpoint_id'>,
): Promise<Ends> {
  const origin = action.origin_endpoint_id;
  const destination = action.destination_endpoint_id;
  const regions = await mappedRegions(db, 'endpoint', [origin, destination]);
  return {
    origin: { id: origin, regions: regions.get(origin) ?? [] },
    destination: { id: destination, regions: regions.get(destination) ?? [] },
  };
}

/**
 * A light task that this worker can serve runs right here: no queue, no other process. The rest goes to a region: one that
 * reaches both ends when there is one, else the source's, whose worker then has to reach the target by itself.
 *
 * @param served regions with a worker at present: one of them is preferred
 */
export function placeOf(worker: WorkerContext, type: TaskType, ends: Ends, served?: ReadonlySet<string>): Place {
  const wanted = wantedRegions(type, ends);
  const near = wanted.length === 0 || wanted.some((region) => worker.service.regions.has(region));
  if (near && !isHeavy(type)) return { here: true };
  const region = wanted.find((one) => served?.has(one)) ?? wanted[0] ?? DEFAULT_REGION;
  return { here: false, region, endpoint: ends[endOf(type)].id };
}

/** Regions whose workers may have a task, the first one preferred; none: any worker. */
export function wantedRegions(type: TaskType, ends: Ends): readonly string[] {
  if (BOTH.includes(type)) return commonRegions(ends);
  return SOURCE_TASKS.includes(type) ? ends.origin.regions : ends.destination.regions;
}

function commonRegions({ origin, destination }: Ends): readonly string[] {
  if (origin.regions.length === 0) return destination.regions;
  if (destination.regions.length === 0) return origin.regions;
  const common = origin.regions.filter((region) => destination.regions.includes(region));
  return common.length > 0 ? common : origin.regions;
}
