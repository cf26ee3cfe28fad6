import { GodwitError } from '@godwit/domain';
import { all, type Element, one, textOf, type XmlText, xml } from '@godwit/provider/xml';
import type { Host } from './connection.ts';
import type { DomainDisk } from './domain-xml.ts';
import { lastLine, words } from './host-files.ts';
import { type FoundDomain, findDomain, isActive } from './inventory.ts';
import { isOurs } from './mark.ts';
import { virshError } from './virsh.ts';
import { readXml } from './xml.ts';

/** Bytes that one bit of a change bitmap stands for: a leaf. */
const GRANULARITY = 65_536;
/** What stands for files below a disk that nobody here can look at. It equals nothing, not even itself. */
export const UNKNOWN_BASE = 'unknown';

/** Why the bitmap of a disk says nothing, for people. */
export const OTHER_FILE = 'it lies in another file now, or over a base that was changed';

/** True for disks whose changes qemu can record: only qcow2 keeps bitmaps. */
export function isTrackable(disk: DomainDisk): boolean {
  return disk.format === 'qcow2' && !disk.readOnly && !disk.shareable && !disk.transient;
}

/** Why the changes of a disk cannot be recorded, for people. */
export function whyUntracked(disk: DomainDisk): string {
  if (disk.format !== 'qcow2') return `${disk.format} disks cannot be tracked`;
  return disk.readOnly ? 'read-only disks are not tracked' : 'shared disks cannot be tracked';
}

/**
 * Disks that each of the checkpoints covers; a checkpoint that does not exist is absent. False for a disk that lay in
 * another file, or over another base, when the checkpoint was made: a bitmap tells the writes to its own file, wherever
 * that is attached now.
 *
 * @param bases of the disks as they are now
 */
export async function checkpointDisks(
  host: Host,
  domain: FoundDomain,
  names: Iterable<string>,
  bases: Readonly<Record<string, string>>,
): Promise<Map<string, Map<string, boolean>>> {
  const found = new Map<string, Map<string, boolean>>();
  const there = new Set(
    words(await host.virsh.run(`instance ${domain.name}`, 'checkpoint-list', '--name', domain.uuid)),
  );
  const now = sourcesOf(domain.root);
  for (const name of new Set(names)) {
    if (!there.has(name)) continue;
    const text = await host.virsh.run(`instance ${domain.name}`, 'checkpoint-dumpxml', domain.uuid, name);
    const checkpoint = readXml(text, `checkpoint ${name}`);
    const then = sourcesOf(one(checkpoint, 'domain'));
    const basesThen = basesIn(checkpoint);
    const isSame = (id: string) =>
      then.get(id) !== undefined &&
      then.get(id) === now.get(id) &&
      bases[id] !== UNKNOWN_BASE &&
      basesThen[id] === bases[id];
    const covered = all(one(checkpoint, 'disks'), 'disk')
      .filter(({ attributes }) => attributes.checkpoint === 'bitmap')
      .map(({ attributes }) => attributes.name ?? '');
    found.set(name, new Map(covered.map((id) => [id, isSame(id)])));
  }
  return found;
}

/** By disk id: where its bytes lie, as the description says it. */
function sourcesOf(root: Element | undefined): Map<string, string> {
  return new Map(
    all(one(root, 'devices'), 'disk').map((disk) => {
      const { file, dev, pool, volume, name } = one(disk, 'source')?.attributes ?? {};
      return [one(disk, 'target')?.attributes.dev ?? '', JSON.stringify([file, dev, pool, volume, name])];
    }),
  );
}

/** What its description says of the files below the disks, see `basesOf`. */
function basesIn(checkpoint: Element): Record<string, unknown> {
  try {
    const said: unknown = JSON.parse(textOf(checkpoint, 'description') ?? '{}');
    return typeof said === 'object' && said !== null ? { ...said } : {};
  } catch {
    return {}; // not written by us
  }
}

function describeBases(bases: Readonly<Record<string, string>>): XmlText | null {
  return Object.keys(bases).length === 0 ? null : xml('description', {}, [JSON.stringify(bases)]);
}

/** Description of a checkpoint over the tracked disks; the others are named, else libvirt takes them too and fails. */
export function checkpointXml(
  name: string,
  disks: readonly DomainDisk[],
  tracked: ReadonlySet<string>,
  bases: Readonly<Record<string, string>>,
): string {
  return xml('domaincheckpoint', {}, [
    xml('name', {}, [name]),
    describeBases(bases),
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

/** Paths of a qcow2 file and of all that it lies over, itself first; null for what is no file. */
export async function layersOf(host: Host, path: string, object: string): Promise<(string | null)[]> {
  const args = ['info', '--output=json', '-U', '--backing-chain', '-f', 'qcow2', '--', path];
  const result = await host.files.run('qemu-img', args, object);
  if (result.code !== 0) throw imageError(result.stderr, object);
  const chain: unknown = JSON.parse(result.stdout);
  return (Array.isArray(chain) ? chain : []).map((layer: unknown) => {
    const name = at(layer, 'filename');
    return typeof name === 'string' && name.startsWith('/') ? name : null;
  });
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
  bases: Readonly<Record<string, string>>,
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
    describeBases(bases),
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
