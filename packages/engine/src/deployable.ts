import { GodwitError, type InstanceInfo } from '@godwit/domain';
import { type Db, listInfo, listReplicaDisks, type ReplicaDisk, tornReplicaDisks } from '@godwit/store';

/**
 * Refuses to boot what is not one moment of the whole instance: a disk that is missing, of which nobody knows what it
 * holds, that an interrupted execution left half-written, or that is older than its siblings.
 *
 * @param force takes unfinished and unequal disks, as far as they are there and known
 * @throws GodwitError BAD_REQUEST
 */
export async function refuseUnfitDisks(
  db: Db,
  transferId: string,
  instances: readonly string[],
  force: boolean,
): Promise<void> {
  const rows = await listReplicaDisks(db, transferId);
  const torn = await tornReplicaDisks(db, transferId);
  const infos = await listInfo(db, transferId);
  for (const instance of instances) {
    const info = infos[instance]?.export_info as unknown as InstanceInfo | undefined;
    const mine = rows.filter((row) => row.instance === instance && row.target !== null);
    const reason = unfit(instance, info, mine, torn, force);
    if (reason !== null) throw new GodwitError('BAD_REQUEST', `transfer ${transferId}`, { reason });
  }
}

function unfit(
  instance: string,
  info: InstanceInfo | undefined,
  rows: readonly ReplicaDisk[],
  torn: ReadonlySet<string>,
  force: boolean,
): string | null {
  const execute = force ? 'execute the transfer first' : 'execute the transfer, or use force';
  if (info === undefined || rows.length === 0) {
    return `instance ${instance} has no transferred disks; execute the transfer first`;
  }
  const wanted = info.devices.disks.map(({ id }) => ({ id, row: rows.find((row) => row.disk_id === id) }));
  for (const { id, row } of wanted) {
    const disk = `disk ${id} of ${instance}`;
    if (row === undefined) return `${disk} was never transferred; execute the transfer first`;
    if (row.lent_to !== null) {
      return `deployment ${row.lent_to} took ${disk} and did not give it back; execute the transfer first`;
    }
    if (force) continue;
    if (row.complete_no === 0) return `${disk} was never transferred completely; ${execute}`;
    if (torn.has(row.id)) return `${disk} is half-way between two executions: the last one did not end; ${execute}`;
  }
  const moments = new Set(wanted.map(({ row }) => `${row?.complete_no} ${row?.complete_snapshot}`));
  if (force || moments.size < 2) return null;
  const said = wanted.map(({ id, row }) => `${id} of execution ${row?.complete_no}`).join(', ');
  return `the disks of ${instance} are of different moments (${said}); ${execute}`;
}
