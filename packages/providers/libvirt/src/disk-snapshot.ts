import { GodwitError, type JsonObject } from '@godwit/domain';
import type { ProviderContext, TargetDisk } from '@godwit/provider';
import { type Host, openHost } from './connection.ts';
import { domainsUsing } from './inventory.ts';
import { checkKey, PREFIX } from './mark.ts';
import {
  deleteReplicaSnapshot,
  type Replica,
  replicaHandle,
  replicaOfDisk,
  restoreReplicaSnapshot,
  takeReplicaSnapshot,
} from './replica.ts';

/** See `TargetProvider.snapshotDisks`. qcow2: a snapshot within the image; raw: a copy beside it. */
export async function snapshotDisks(ctx: ProviderContext, key: string, disks: TargetDisk[]): Promise<TargetDisk[]> {
  const host = await openHost(ctx);
  for (const disk of disks) {
    const replica = replicaOfDisk(disk);
    const handle: JsonObject = { ...replicaHandle(replica.path, replica.format, replica.key), snapshot: key };
    const entry = await ctx.ledger.intend('disk_snapshot', nameOf(replica, key), handle, 'deployment');
    await takeReplicaSnapshot(host, replica, key);
    await ctx.ledger.made(entry);
  }
  return disks;
}

/** See `TargetProvider.restoreDisks`. */
export async function restoreDisks(ctx: ProviderContext, key: string, disks: TargetDisk[]): Promise<TargetDisk[]> {
  const host = await openHost(ctx);
  for (const disk of disks) await restoreReplicaSnapshot(host, replicaOfDisk(disk), key);
  return disks;
}

/** See `TargetProvider.deleteDiskSnapshots`. The instance may run from the disks by now: then QEMU itself is asked. */
export async function deleteDiskSnapshots(
  ctx: ProviderContext,
  key: string,
  disks: TargetDisk[],
): Promise<TargetDisk[]> {
  const host = await openHost(ctx);
  for (const disk of disks) {
    const replica = replicaOfDisk(disk);
    await deleteDiskSnapshot(host, replica, key);
    await ctx.ledger.removed('disk_snapshot', nameOf(replica, key));
  }
  return disks;
}

/** Gone already is success, with its disk or without. */
export async function deleteDiskSnapshot(host: Host, replica: Replica, key: string): Promise<void> {
  if (await deleteReplicaSnapshot(host, replica, key)) return;
  for (const uuid of await domainsUsing(host, replica.path)) {
    const node = await nodeOf(host, uuid, replica);
    if (node === null) continue;
    const argument = { device: node, name: PREFIX + checkKey(key) };
    const answer = await monitor(host, uuid, {
      execute: 'blockdev-snapshot-delete-internal-sync',
      arguments: argument,
    });
    if (/"return"|does not exist|not found/i.test(answer)) return;
    throw new GodwitError('PLATFORM_ERROR', replica.object, { reason: answer.trim().slice(0, 300) });
  }
  throw new GodwitError('CONFLICT', replica.object, { reason: 'another process has its file open' });
}

/** QEMU's name of the disk in a running domain, or null. */
async function nodeOf(host: Host, uuid: string, replica: Replica): Promise<string | null> {
  const answer: unknown = JSON.parse(
    await monitor(host, uuid, { execute: 'query-named-block-nodes', arguments: { flat: true } }),
  );
  const nodes = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'return') : undefined;
  if (!Array.isArray(nodes)) return null;
  const found = nodes.find(
    (node: unknown) =>
      typeof node === 'object' &&
      node !== null &&
      Reflect.get(node, 'file') === replica.path &&
      Reflect.get(node, 'drv') === replica.format,
  );
  const name: unknown = found === undefined ? undefined : Reflect.get(found, 'node-name');
  return typeof name === 'string' ? name : null;
}

async function monitor(host: Host, uuid: string, command: JsonObject): Promise<string> {
  const result = await host.virsh.attempt(['qemu-monitor-command', uuid, JSON.stringify(command)]);
  return result.code === 0 ? result.stdout : result.stderr;
}

function nameOf(replica: Replica, key: string): string {
  return `${replica.path}@${key}`;
}
