import { GodwitError } from '@godwit/domain';
import type { Host } from './connection.ts';
import type { DomainDisk } from './domain-xml.ts';
import { lastLine, words } from './host-files.ts';
import { type FoundDomain, findDomain, isActive } from './inventory.ts';
import { isOurs } from './mark.ts';
import { virshError } from './virsh.ts';
import { all, one, parseXml, xml } from './xml.ts';

/** Bytes that one bit of a change bitmap stands for: a leaf. */
const GRANULARITY = 65_536;

/** True for disks whose changes qemu can record: only qcow2 keeps bitmaps. */
export function isTrackable(disk: DomainDisk): boolean {
  return disk.format === 'qcow2' && !disk.readOnly && !disk.shareable && !disk.transient;
}

/** Why the changes of a disk cannot be recorded, for people. */
export function whyUntracked(disk: DomainDisk): string {
  if (disk.format !== 'qcow2') return `${disk.format} disks cannot be tracked`;
  return disk.readOnly ? 'read-only disks are not tracked' : 'shared disks cannot be tracked';
}

/** Disks that each of the checkpoints covers; a checkpoint that does not exist is absent. */
export async function checkpointDisks(
  host: Host,
  domain: FoundDomain,
  names: Iterable<string>,
): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>();
  const there = new Set(
    words(await host.virsh.run(`instance ${domain.name}`, 'checkpoint-list', '--name', domain.uuid)),
  );
  for (const name of new Set(names)) {
    if (!there.has(name)) continue;
    const text = await host.virsh.run(
      `instance ${domain.name}`,
      'checkpoint-dumpxml',
      '--no-domain',
      domain.uuid,
      name,
    );
    const disks = all(one(parseXml(text, `checkpoint ${name}`), 'disks'), 'disk');
    found.set(
      name,
      new Set(
        disks
          .filter(({ attributes }) => attributes.checkpoint === 'bitmap')
          .map(({ attributes }) => attributes.name ?? ''),
      ),
    );
  }
  return found;
}

/** Description of a checkpoint over the tracked disks; the others are named, else libvirt takes them too and fails. */
export function checkpointXml(name: string, disks: readonly DomainDisk[], tracked: ReadonlySet<string>): string {
  return xml('domaincheckpoint', {}, [
    xml('name', {}, [name]),
    xml(
      'disks',
      {},
      disks.map(({ id }) => xml('disk', { name: id, checkpoint: tracked.has(id) ? 'bitmap' : 'no' })),
    ),
  ]).xml;
}

/**
 * Stops recording changes since a checkpoint of ours and forgets it. Gone already is success.
 *
 * @throws GodwitError FORBIDDEN (not ours), CONFLICT (a stopped domain whose files cannot be reached)
 */
export async function deleteCheckpoint(host: Host, instance: string, name: string): Promise<void> {
  if (!isOurs(name)) throw new GodwitError('FORBIDDEN', `checkpoint ${name}`, { reason: 'Godwit did not make it' });
  let domain: FoundDomain;
  try {
    domain = await findDomain(host, instance);
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'NOT_FOUND') return;
    throw error;
  }
  if (isActive(domain)) {
    const result = await host.virsh.attempt(['checkpoint-delete', domain.uuid, name]);
    if (result.code === 0 || isAbsent(result.stderr)) return;
    // After a crash the checkpoint is there and its bitmap is not.
    if (!/bitmap .* (not found|missing|inconsistent)|missing or broken bitmap/i.test(result.stderr)) {
      throw virshError(result.stderr, `checkpoint ${name} of instance ${domain.name}`, host.ctx.endpoint);
    }
  } else {
    await removeBitmaps(host, domain, name);
  }
  const forgotten = await host.virsh.attempt(['checkpoint-delete', domain.uuid, name, '--metadata']);
  if (forgotten.code !== 0 && !isAbsent(forgotten.stderr)) {
    throw virshError(forgotten.stderr, `checkpoint ${name} of instance ${domain.name}`, host.ctx.endpoint);
  }
}

function isAbsent(stderr: string): boolean {
  return /no domain checkpoint with matching name/i.test(stderr);
}

async function removeBitmaps(host: Host, domain: FoundDomain, name: string): Promise<void> {
  for (const disk of domain.disks.filter(isTrackable)) {
    const object = `disk ${disk.id} of ${domain.name}`;
    if (host.files.reach === 'none') {
      throw new GodwitError('CONFLICT', object, { reason: 'its change bitmap can be removed when the instance runs' });
    }
    const path = await pathOf(host, domain, disk);
    if (!(await bitmapsOf(host, path, object)).has(name)) continue;
    const result = await host.files.run('qemu-img', ['bitmap', '--remove', '-f', 'qcow2', '--', path, name], object);
    if (result.code !== 0) throw imageError(result.stderr, object);
  }
}

/** Bitmaps stored in a qcow2 file: name to whether it can be relied on. A missing file has none. */
export async function bitmapsOf(host: Host, path: string, object: string): Promise<Map<string, boolean>> {
  const result = await host.files.run('qemu-img', ['info', '--output=json', '-U', '-f', 'qcow2', '--', path], object);
  if (result.code !== 0) {
    if (/No such file/.test(result.stderr)) return new Map();
    throw imageError(result.stderr, object);
  }
  const info: unknown = JSON.parse(result.stdout);
  const bitmaps = at(at(at(info, 'format-specific'), 'data'), 'bitmaps');
  if (!Array.isArray(bitmaps)) return new Map();
  return new Map(
    bitmaps.map((bitmap: unknown) => {
      const flags = at(bitmap, 'flags');
      const granular = at(bitmap, 'granularity') === GRANULARITY;
      // `auto`: it has been recording; `in-use`: it was not closed properly and knows nothing.
      const usable = granular && Array.isArray(flags) && flags.includes('auto') && !flags.includes('in-use');
      return [String(at(bitmap, 'name')), usable];
    }),
  );
}

function at(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

/**
 * Starts recording the changes of a stopped domain: a bitmap in each disk, and the checkpoint that lets libvirt know it.
 *
 * @returns the disks that record now
 */
export async function makeStoppedCheckpoint(
  host: Host,
  domain: FoundDomain,
  name: string,
  createdAt: Date,
): Promise<Set<string>> {
  const tracked = new Set<string>();
  for (const disk of domain.disks.filter(isTrackable)) {
    const object = `disk ${disk.id} of ${domain.name}`;
    const path = await pathOf(host, domain, disk);
    const known = (await bitmapsOf(host, path, object)).get(name);
    if (known === undefined) {
      const args = ['bitmap', '--add', '-g', String(GRANULARITY), '-f', 'qcow2', '--', path, name];
      const result = await host.files.run('qemu-img', args, object);
      if (result.code !== 0) throw imageError(result.stderr, object);
    }
    if (known !== false) tracked.add(disk.id);
  }
  if (tracked.size === 0) return tracked;
  const description = xml('domaincheckpoint', {}, [
    xml('name', {}, [name]),
    xml('creationTime', {}, [Math.floor(createdAt.getTime() / 1000)]),
    xml(
      'disks',
      {},
      domain.disks.map(({ id }) =>
        tracked.has(id)
          ? xml('disk', { name: id, checkpoint: 'bitmap', bitmap: name })
          : xml('disk', { name: id, checkpoint: 'no' }),
      ),
    ),
    { xml: domain.text },
  ]).xml;
  await host.virsh.withFile(description, (path) =>
    host.virsh.run(`instance ${domain.name}`, 'checkpoint-create', domain.uuid, path, '--redefine'),
  );
  return tracked;
}

/** File or block device of a disk; a volume's is asked from its pool. */
export async function pathOf(host: Host, domain: FoundDomain, disk: DomainDisk): Promise<string> {
  const object = `disk ${disk.id} of ${domain.name}`;
  if (disk.path !== null) return disk.path;
  const source = all(one(domain.root, 'devices'), 'disk')
    .filter((element) => one(element, 'target')?.attributes.dev === disk.id)
    .map((element) => one(element, 'source')?.attributes)[0];
  if (disk.type === 'volume' && source?.pool !== undefined && source.volume !== undefined) {
    return (await host.virsh.run(object, 'vol-path', '--pool', source.pool, source.volume)).trim();
  }
  throw new GodwitError('UNSUPPORTED', object, { what: `reading a stopped instance's disk of type ${disk.type}` });
}

/** What qemu-img complained about. */
export function imageError(stderr: string, object: string): GodwitError {
  const reason = lastLine(stderr).replace(/^qemu-(img|nbd): /, '');
  if (/Failed to get .*lock/i.test(stderr)) {
    return new GodwitError('CONFLICT', object, { reason: 'another process holds the lock of its image' });
  }
  if (/No space left on device/.test(stderr)) return new GodwitError('TARGET_FULL', object);
  if (/Permission denied/.test(stderr)) return new GodwitError('FORBIDDEN', object, { reason });
  if (/No such file or directory/.test(stderr)) return new GodwitError('NOT_FOUND', object);
  return new GodwitError('PLATFORM_ERROR', object, { reason });
}
