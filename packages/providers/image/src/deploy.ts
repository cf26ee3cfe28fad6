import { rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { GodwitError, type InstanceInfo, type JsonObject } from '@godwit/domain';
import { checkInput, type DeployedInstance, type DeployRequest, type ProviderContext } from '@godwit/provider';
import { Type } from 'typebox';
import { fileName, openFolder, pathWithin, statOrNull } from './connection.ts';
import { copyDisk } from './copy-file.ts';
import { cloneRaw, forgetSnapshot } from './disk-snapshot.ts';
import { writeDomain } from './domain-write.ts';
import type { DiskFormat } from './environment.ts';
import { loadInstance } from './inventory.ts';
import { overlay, shareLayers } from './layers.ts';
import { takeLease } from './lease.ts';
import { machineOf } from './machine.ts';
import {
  makeMarked,
  readJson,
  readMark,
  removeEmptyParents,
  removeMarked,
  stateFolder,
  writeJson,
  writeText,
} from './mark.ts';
import { writeOvf } from './ovf-write.ts';
import { checkedKey, diskFileName, movedPath, type Replica, replicaOf, requireReplica } from './replica.ts';

const handleSchema = Type.Object({ folder: Type.String(), key: Type.String() });

/** Which disks of an instance folder were replica disks, and where they came from. */
const originsFile = '.godwit-origins.json';
const originsSchema = Type.Object({ disks: Type.Array(Type.Object({ file: Type.String(), origin: Type.String() })) });

/**
 * See `TargetProvider.deployInstance`. The folder is built aside and appears under its name when it is whole.
 *
 * A test of qcow2 disks gets overlays over frozen layers (`layers.ts`). Raw disks are copied: whatever is written to them is
 * written in place, and an overlay whose base changes holds garbage. On XFS and Btrfs the copies share their blocks.
 */
export async function deployInstance(ctx: ProviderContext, request: DeployRequest): Promise<DeployedInstance> {
  const root = await openFolder(ctx);
  const key = checkedKey(request.key);
  const { folder, finished } = await chooseFolder(root, request);
  const handle: JsonObject = { folder, key };
  const entry = await ctx.ledger.intend('instance', entryName(folder, key), handle, 'deployment');
  if (!finished) {
    const building = buildingFolder(key);
    await makeMarked(join(root, building), { kind: 'instance', key, transfer: request.transfer });
    await fill(ctx, root, building, folder, request);
    await rename(join(root, building), join(root, folder));
    await removeEmptyParents(root, join(root, building));
  }
  await ctx.ledger.made(entry);
  return { id: folder, name: instanceName(request, folder), handle };
}

/** See `TargetProvider.finalizeInstance`. */
export async function finalizeInstance(
  ctx: ProviderContext,
  request: DeployRequest,
  deployed: DeployedInstance,
): Promise<InstanceInfo> {
  if (request.powerOn) {
    ctx.progress(
      `A folder cannot boot an instance; "virsh define ${deployed.id}/${deployed.id}.xml" does it on a libvirt host`,
    );
  }
  const { info } = await loadInstance(ctx, deployed.id, {});
  if (!request.test) {
    const { folder, key } = checkInput(handleSchema, deployed.handle, `handle of instance ${deployed.id}`);
    const name = entryName(folder, key);
    // From here on it is the user's: neither a failure nor the end of the deployment's record takes it away.
    await ctx.ledger.made(await ctx.ledger.intend('instance', name, deployed.handle, 'forever'));
  }
  return info;
}

/** See `TargetProvider.removeInstance`. Replica disks that it took go back to their place. */
export async function removeInstance(ctx: ProviderContext, deployed: DeployedInstance): Promise<void> {
  await removeDeployed(ctx, deployed.handle);
}

/** Removes what a handle of an instance names. */
export async function removeDeployed(ctx: ProviderContext, handle: JsonObject): Promise<void> {
  const { folder, key } = checkInput(handleSchema, handle, 'handle of an instance');
  const root = await openFolder(ctx);
  for (const place of [buildingFolder(checkedKey(key)), folder]) {
    const full = await pathWithin(root, place, `instance ${folder}`);
    if ((await readMark(full))?.key === key) await returnDisks(root, full);
    await removeMarked(root, place, key);
  }
  await ctx.ledger.removed('instance', entryName(folder, key));
}

/**
 * Name in the ledger. With the key: the deployment after a failed one builds under the same folder name while the reaper
 * still clears away what the first one left.
 */
function entryName(folder: string, key: string): string {
  return `${folder}@${key}`;
}

function buildingFolder(key: string): string {
  return join(stateFolder, 'building', key);
}

/** The folder of this key when it exists, else a free name. */
async function chooseFolder(root: string, request: DeployRequest): Promise<{ folder: string; finished: boolean }> {
  const plain = fileName(request.instance.name);
  const names = request.test ? [`${plain}-test`, `${plain}-${request.key.slice(-8)}-test`] : [plain];
  const taken: string[] = [];
  for (const folder of names) {
    if ((await readMark(join(root, folder)))?.key === request.key) return { folder, finished: true };
    if ((await statOrNull(join(root, folder))) !== null) taken.push(folder);
  }
  const free = names.find((folder) => !taken.includes(folder));
  if (free !== undefined) return { folder: free, finished: false };
  throw new GodwitError('CONFLICT', `instance ${plain}`, {
    reason: 'a folder of this name exists; rename or remove it',
  });
}

function instanceName(request: DeployRequest, folder: string): string {
  return request.test ? folder : request.instance.name;
}

async function fill(
  ctx: ProviderContext,
  root: string,
  building: string,
  folder: string,
  request: DeployRequest,
): Promise<void> {
  const consume = !request.clone && !request.test;
  const full = join(root, building);
  const replicas: Replica[] = [];
  const files = new Map<string, { file: string; format: DiskFormat; size: number }>();
  for (const disk of request.disks) {
    const replica = await replicaOf(root, disk);
    const file = `${diskFileName(disk.id)}${extname(replica.path)}`;
    replicas.push(replica);
    files.set(disk.id, { file, format: replica.format, size: disk.size });
  }
  if (consume) {
    const origins = replicas.map((replica, index) => ({
      file: files.get(request.disks[index]?.id ?? '')?.file ?? '',
      origin: replica.path,
    }));
    await writeJson(join(full, originsFile), { disks: origins });
  }
  for (const [index, replica] of replicas.entries()) {
    const to = join(full, files.get(request.disks[index]?.id ?? '')?.file ?? '');
    if ((await statOrNull(to)) !== null) continue;
    await requireReplica(replica);
    if (consume) await handOver(ctx, replica, root, join(building, basename(to)), join(folder, basename(to)));
    else await clone(ctx, replica, request, to);
  }
  const machine = machineOf(request, instanceName(request, folder), files);
  const sizes = new Map<string, number>();
  for (const { file } of files.values()) sizes.set(file, (await stat(join(full, file))).size);
  await writeText(join(full, `${folder}.ovf`), writeOvf(machine, sizes));
  await writeText(join(full, `${folder}.xml`), writeDomain(machine, join(root, folder)));
}

async function clone(ctx: ProviderContext, replica: Replica, request: DeployRequest, to: string): Promise<void> {
  if (replica.format === 'raw') {
    await cloneRaw(ctx, replica, request.key, to);
    return;
  }
  if (request.test) {
    // The snapshot would lie in the layer. A clone leaves the replica disk as it is: there is nothing to go back to.
    await forgetSnapshot(replica, replica.file, request.key);
    if (await overlay(ctx, replica, request.key, to)) return;
  }
  await shareLayers(replica.file, dirname(to));
  const copy = `${to}.copy`;
  await copyDisk(ctx, replica.file, copy, replica.object);
  await forgetSnapshot(replica, copy, request.key);
  await rename(copy, to);
}

async function handOver(
  ctx: ProviderContext,
  replica: Replica,
  root: string,
  building: string,
  final: string,
): Promise<void> {
  const lease = await takeLease(replica.file, replica.object, ctx.signal);
  try {
    if (replica.format === 'qcow2') await shareLayers(replica.file, dirname(join(root, building)));
    await writeJson(movedPath(replica.file), { to: final, building });
    await rename(replica.file, join(root, building));
  } finally {
    await lease.release();
  }
}

async function returnDisks(root: string, folder: string): Promise<void> {
  const found = await readJson(join(folder, originsFile));
  if (found === null) return;
  const { disks } = checkInput(originsSchema, found, `origins of ${basename(folder)}`);
  for (const { file, origin } of disks) {
    const object = `disk ${file} of ${basename(folder)}`;
    const from = await pathWithin(folder, file, object);
    const to = await pathWithin(root, origin, object);
    if ((await statOrNull(from)) === null) continue;
    // The replica was let go or deleted: the disk belongs to the instance and goes with it.
    if ((await readMark(dirname(to))) === null) continue;
    if ((await statOrNull(to)) === null) await rename(from, to);
    await rm(movedPath(to), { force: true });
  }
}
