// Over 400 lines: the source half of the contract for running, stopped and saved domains, which hand over to each other.
import { setTimeout as sleep } from 'node:timers/promises';
import type { DiskAddress } from '@godwit/disk';
import { GodwitError, type JsonObject } from '@godwit/domain';
import {
  checkInput,
  type OpenDisks,
  type ProviderContext,
  type Snapshot,
  type SnapshotDisk,
  type SnapshotRequest,
  type SourceProvider,
} from '@godwit/provider';
import {
  abortBackup,
  type BackupJob,
  BitmapGone,
  beginBackup,
  changedContext,
  runningBackup,
  type SourceEnvironment,
  scratchFolder,
  scratchPrefix,
  thaw,
} from './backup.ts';
import { basesOf } from './base.ts';
import { checkpointDisks, deleteCheckpoint, isTrackable, OTHER_FILE, pathOf, whyUntracked } from './checkpoint.ts';
import { type Host, openHost } from './connection.ts';
import { sourceEnvironmentSchema } from './environment.ts';
import { diskSizes, type FoundDomain, findDomain, isActive, isSaved } from './inventory.ts';
import { checkpointName, isOurs } from './mark.ts';
import { openBackup } from './open-backup.ts';
import { dropNote, isUnchanged, readNote, type StoppedSnapshot, takeNote } from './stopped.ts';

const DEFAULT_GRACE_S = 60;
/** Guests lose a power button pressed while they boot; it is pressed again every so many seconds. */
const PRESS_AGAIN_S = 10;

export const source: SourceProvider = {
  environmentSchema: sourceEnvironmentSchema,
  validate,
  snapshot,
  open,
  check,
  release,
  dropToken,
  shutdown,
  powerOn,
};

async function validate(ctx: ProviderContext, instance: string, environment: JsonObject): Promise<void> {
  const options = checkInput(sourceEnvironmentSchema, environment, 'source_environment');
  const host = await openHost(ctx);
  const domain = await findDomain(host, instance);
  refuseUnreadable(host, domain);
  if (!isActive(domain)) return;
  if (options.quiesce === 'always' && !domain.agent) {
    throw new GodwitError('CONFLICT', `instance ${domain.name}`, {
      reason: 'its file systems cannot be frozen: no guest agent answers',
    });
  }
  const job = await runningBackup(host, domain);
  if (job !== null && job.key === null) throw foreignJob(domain);
}

function refuseUnreadable(host: Host, domain: FoundDomain): void {
  const object = `instance ${domain.name}`;
  if (domain.disks.length === 0) throw new GodwitError('UNSUPPORTED', object, { what: 'moving it: it has no disk' });
  for (const disk of domain.disks) {
    if (disk.type === 'lun') {
      throw new GodwitError('UNSUPPORTED', `disk ${disk.id} of ${domain.name}`, {
        what: 'snapshots: it is a passed-through LUN',
      });
    }
    if (!/^[a-z0-9]+$/i.test(disk.id))
      throw new GodwitError('UNSUPPORTED', object, { what: `the disk name ${disk.id}` });
  }
  if (!isActive(domain) && host.files.reach === 'none') {
    throw new GodwitError('UNSUPPORTED', object, {
      what: 'reading it while it is stopped: the files of this host are not reachable (use qemu+ssh, or connection_info/files "local")',
    });
  }
}

function foreignJob(domain: FoundDomain): GodwitError {
  return new GodwitError('CONFLICT', `instance ${domain.name}`, {
    reason: 'a backup job of another program runs in it ("virsh domjobinfo" tells more)',
  });
}

async function snapshot(ctx: ProviderContext, request: SnapshotRequest): Promise<Snapshot> {
  const environment = checkInput(sourceEnvironmentSchema, request.environment, 'source_environment');
  const host = await openHost(ctx);
  const domain = await findDomain(host, request.instance);
  refuseUnreadable(host, domain);
  const name = checkpointName(request.key);
  if (isActive(domain)) {
    // A note of this key: the instance was stopped when the snapshot was made, and has been started since.
    const note = await readNote(host, domain, request.key);
    const job = note === null ? await runningBackup(host, domain) : null;
    if (job?.key === request.key) {
      // Whoever began it may have died, with its host, before the guest was thawed.
      if (job.consistency === 'filesystem') await thaw(host, domain);
      return ofJob(host, domain, request, job, {});
    }
    if (request.resume) throw new GodwitError('SNAPSHOT_LOST', `instance ${domain.name}`);
    if (job !== null) {
      if (job.key === null) throw foreignJob(domain);
      throw new GodwitError('CONFLICT', `instance ${domain.name}`, {
        reason: `snapshot ${job.key} of another execution is still open`,
      });
    }
    if (note !== null) await dropNote(host, domain, request.key);
    return running(host, domain, request, environment);
  }
  const note = await readNote(host, domain, request.key);
  if (note !== null && (await isUnchanged(host, domain, note.prints))) {
    return ofNote(host, domain, request, note, {});
  }
  if (request.resume) throw new GodwitError('SNAPSHOT_LOST', `instance ${domain.name}`);
  if (note !== null) await dropNote(host, domain, request.key);
  await announce(host, domain, request.key, environment);
  await deleteCheckpoint(host, domain.uuid, name);
  const taken = await takeNote(host, domain, request.key, request.tokens);
  return ofNote(host, domain, request, taken.note, taken.reasons);
}

/** Writes to the ledger what is about to be made: the job with its scratch files, and the checkpoint. */
async function announce(
  host: Host,
  domain: FoundDomain,
  key: string,
  environment: SourceEnvironment,
): Promise<() => Promise<void>> {
  const { ledger } = host.ctx;
  const name = ledgerName(domain.uuid, key);
  const folders = [...new Set(domain.disks.map((disk) => scratchFolder(domain, disk, environment)))];
  const job = await ledger.intend('snapshot', name, { instance: domain.uuid, key, folders });
  const token = await ledger.intend('token', name, { instance: domain.uuid, token: checkpointName(key) }, 'transfer');
  return async () => {
    await ledger.made(job);
    await ledger.made(token);
  };
}

function ledgerName(uuid: string, key: string): string {
  return `${checkpointName(key)} of ${uuid}`;
}

async function running(
  host: Host,
  domain: FoundDomain,
  request: SnapshotRequest,
  environment: SourceEnvironment,
): Promise<Snapshot> {
  const name = checkpointName(request.key);
  const tokens = Object.values(request.tokens).filter((token) => token !== null);
  const bases = await basesOf(host, domain);
  const covered = await checkpointDisks(host, domain, [...tokens, name], bases);
  const tracked = new Set(domain.disks.filter(isTrackable).map(({ id }) => id));
  const since = new Map<string, string | null>();
  const reasons: Record<string, string> = {};
  for (const { id } of domain.disks) {
    const token = request.tokens[id] ?? null;
    const same = token !== null && tracked.has(id) ? covered.get(token)?.get(id) : undefined;
    since.set(id, same ? token : null);
    if (token !== null && tracked.has(id) && !same) {
      reasons[id] = same === false ? OTHER_FILE : 'its change bitmap is gone';
    }
  }
  const made = await announce(host, domain, request.key, environment);
  // Left by a job of this key that is gone: its checkpoint holds the name.
  if (covered.has(name)) await deleteCheckpoint(host, domain.uuid, name);
  await sweepScratch(host, foldersOf(domain, environment), request.key);
  for (;;) {
    try {
      await beginBackup(host, domain, { key: request.key, since, tracked, bases, environment });
      break;
    } catch (error) {
      if (!(error instanceof BitmapGone)) throw error;
      const asked = [...since].filter(([id, token]) => token !== null && (error.disk === null || error.disk === id));
      if (asked.length === 0) {
        throw new GodwitError('PLATFORM_ERROR', `instance ${domain.name}`, { reason: error.message }, { cause: error });
      }
      for (const [id] of asked) {
        since.set(id, null);
        reasons[id] = 'its change bitmap is gone: the host or QEMU crashed';
      }
      await sweepScratch(host, foldersOf(domain, environment), request.key);
    }
  }
  await made();
  const job = await runningBackup(host, domain);
  if (job?.key !== request.key) throw new GodwitError('SNAPSHOT_LOST', `instance ${domain.name}`);
  return ofJob(host, domain, request, job, reasons);
}

function foldersOf(domain: FoundDomain, environment: SourceEnvironment): string[] {
  return [...new Set(domain.disks.map((disk) => scratchFolder(domain, disk, environment)))];
}

/** Removes the scratch files of a key that no job uses any more. */
export async function sweepScratch(host: Host, folders: readonly string[], key: string): Promise<void> {
  for (const folder of folders) await host.files.remove(folder, await host.files.list(folder, scratchPrefix(key)));
}

async function ofJob(
  host: Host,
  domain: FoundDomain,
  request: SnapshotRequest,
  job: BackupJob,
  reasons: Record<string, string>,
): Promise<Snapshot> {
  const environment = checkInput(sourceEnvironmentSchema, request.environment, 'source_environment');
  const name = checkpointName(request.key);
  const covered = (await checkpointDisks(host, domain, [name], await basesOf(host, domain))).get(name);
  const sizes = await diskSizes(host, domain);
  return {
    key: request.key,
    instance: request.instance,
    takenAt: job.takenAt,
    consistency: job.consistency,
    disks: domain.disks.map((disk) =>
      snapshotDisk(
        disk.id,
        sizes.get(disk.id) ?? 0,
        covered?.get(disk.id) ? name : null,
        (job.since.get(disk.id) ?? null) !== null,
        isTrackable(disk)
          ? (reasons[disk.id] ?? (request.tokens[disk.id] ? 'its change bitmap is gone' : 'first run'))
          : whyUntracked(disk),
      ),
    ),
    handle: {
      kind: 'running',
      uuid: domain.uuid,
      folders: foldersOf(domain, environment),
      server: { ...job.server },
      changed: Object.fromEntries([...job.since].map(([id, token]) => [id, token !== null])),
    },
  };
}

async function ofNote(
  host: Host,
  domain: FoundDomain,
  request: SnapshotRequest,
  note: StoppedSnapshot,
  reasons: Record<string, string>,
): Promise<Snapshot> {
  const sizes = await diskSizes(host, domain);
  const paths: Record<string, JsonObject> = {};
  for (const disk of domain.disks) {
    paths[disk.id] = {
      path: await pathOf(host, domain, disk),
      format: disk.format,
      bitmap: note.since[disk.id] ?? null,
    };
  }
  return {
    key: request.key,
    instance: request.instance,
    takenAt: note.takenAt,
    consistency: note.saved ? 'crash' : 'stopped',
    disks: domain.disks.map((disk) =>
      snapshotDisk(
        disk.id,
        sizes.get(disk.id) ?? 0,
        note.tracked.includes(disk.id) ? checkpointName(request.key) : null,
        (note.since[disk.id] ?? null) !== null,
        isTrackable(disk)
          ? (reasons[disk.id] ?? (request.tokens[disk.id] ? 'its change bitmap is gone' : 'first run'))
          : whyUntracked(disk),
      ),
    ),
    handle: { kind: 'stopped', uuid: domain.uuid, folders: [], prints: note.prints, images: paths },
  };
}

function snapshotDisk(id: string, size: number, token: string | null, exact: boolean, reason: string): SnapshotDisk {
  return exact ? { id, size, token, changes: 'exact' } : { id, size, token, changes: 'unknown', reason };
}

async function open(ctx: ProviderContext, taken: Snapshot): Promise<OpenDisks> {
  const host = await openHost(ctx);
  if (taken.handle.kind === 'stopped') return openStopped(host, taken);
  await check(ctx, taken);
  return openBackup(host, taken, changedContext);
}

/** While the files are served, QEMU's image lock keeps the instance from being started. */
async function openStopped(host: Host, taken: Snapshot): Promise<OpenDisks> {
  const images = object(taken.handle.images);
  const servings: { id: string; address: DiskAddress; close(): Promise<void> }[] = [];
  const close = async () => {
    await Promise.all(servings.map((serving) => serving.close()));
  };
  try {
    for (const [id, value] of Object.entries(images)) {
      const image = object(value);
      const format = String(image.format);
      if (!isServed(format)) {
        throw new GodwitError('UNSUPPORTED', `disk ${id} of ${taken.instance}`, { what: `the disk format ${format}` });
      }
      const serving = await host.files.serve({
        path: String(image.path),
        format,
        readOnly: true,
        label: `disk ${id} of ${taken.instance}`,
        ...(typeof image.bitmap === 'string' ? { bitmap: image.bitmap } : {}),
      });
      servings.push({ id, address: serving.address, close: () => serving.close() });
    }
    await check(host.ctx, taken);
  } catch (error) {
    await close();
    if (error instanceof GodwitError && error.code === 'CONFLICT') await check(host.ctx, taken);
    throw error;
  }
  return { addresses: Object.fromEntries(servings.map(({ id, address }) => [id, address])), close };
}

const servedFormats = ['raw', 'qcow2', 'vmdk', 'vhdx', 'vpc', 'vdi'] as const;

function isServed(format: string): format is (typeof servedFormats)[number] {
  return servedFormats.some((known) => known === format);
}

async function check(ctx: ProviderContext, taken: Snapshot): Promise<void> {
  const host = await openHost(ctx);
  const lost = (cause?: unknown) =>
    new GodwitError('SNAPSHOT_LOST', `instance ${taken.instance}`, {}, cause === undefined ? undefined : { cause });
  let domain: FoundDomain;
  try {
    domain = await findDomain(host, uuidIn(taken.handle));
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'NOT_FOUND') throw lost(error);
    throw error;
  }
  if (taken.handle.kind === 'stopped') {
    if (isActive(domain) || !(await isUnchanged(host, domain, object(taken.handle.prints)))) throw lost();
    return;
  }
  const job = isActive(domain) ? await runningBackup(host, domain) : null;
  if (job?.key !== taken.key) throw lost();
}

async function release(ctx: ProviderContext, taken: Snapshot, keepToken: boolean): Promise<void> {
  const host = await openHost(ctx);
  const uuid = uuidIn(taken.handle);
  const folders = Array.isArray(taken.handle.folders) ? taken.handle.folders.map(String) : [];
  await endSnapshot(host, uuid, taken.key, folders);
  await ctx.ledger.removed('snapshot', ledgerName(uuid, taken.key));
  if (keepToken && taken.disks.some(({ token }) => token !== null)) return;
  await deleteCheckpoint(host, uuid, checkpointName(taken.key));
  await ctx.ledger.removed('token', ledgerName(uuid, taken.key));
}

/** Ends the job of that key, or forgets the note, and removes the scratch files. Gone already is success. */
export async function endSnapshot(host: Host, uuid: string, key: string, folders: readonly string[]): Promise<void> {
  let domain: FoundDomain | null = null;
  try {
    domain = await findDomain(host, uuid);
  } catch (error) {
    if (!(error instanceof GodwitError && error.code === 'NOT_FOUND')) throw error;
  }
  if (domain !== null) {
    if (isActive(domain) && (await runningBackup(host, domain))?.key === key) await abortBackup(host, domain);
    await dropNote(host, domain, key);
  }
  await sweepScratch(host, folders, key);
}

async function dropToken(ctx: ProviderContext, instance: string, token: string): Promise<void> {
  if (!isOurs(token)) return;
  const host = await openHost(ctx);
  await deleteCheckpoint(host, instance, token);
  // A name in place of the UUID: the ledger knows it by the UUID.
  const uuid = await findDomain(host, instance).then(
    (domain) => domain.uuid,
    () => instance,
  );
  await ctx.ledger.removed('token', `${token} of ${uuid}`);
}

async function shutdown(ctx: ProviderContext, instance: string, graceSeconds = DEFAULT_GRACE_S): Promise<void> {
  const host = await openHost(ctx);
  const domain = await findDomain(host, instance);
  const label = `instance ${domain.name}`;
  const isOff = async () => !isActive(await findDomain(host, domain.uuid));
  if (!isActive(domain) && (await isSaved(host, domain))) {
    throw new GodwitError('CONFLICT', label, {
      reason:
        'it is saved with its memory, which would be lost: start it, or drop the memory with "virsh managedsave-remove"',
    });
  }
  for (let second = 0; second < graceSeconds; second++) {
    if (await isOff()) return;
    if (second % PRESS_AGAIN_S === 0) {
      const mode = domain.agent && second === 0 ? 'agent,acpi' : 'acpi';
      await host.virsh.attempt(['shutdown', domain.uuid, '--mode', mode]);
    }
    await sleep(1000, undefined, { signal: ctx.signal }).catch(() => {
      throw new GodwitError('CANCELED', label);
    });
  }
  if (await isOff()) return;
  ctx.progress(`${domain.name} did not stop within ${graceSeconds} s; it is powered off`);
  // Gracefully: QEMU may flush its caches and store its bitmaps.
  const gentle = await host.virsh.attempt(['destroy', domain.uuid, '--graceful']);
  if (gentle.code !== 0 && !(await isOff())) await host.virsh.run(label, 'destroy', domain.uuid);
}

async function powerOn(ctx: ProviderContext, instance: string): Promise<void> {
  const host = await openHost(ctx);
  const domain = await findDomain(host, instance);
  if (isActive(domain)) return;
  const result = await host.virsh.attempt(['start', domain.uuid]);
  if (result.code !== 0 && !isActive(await findDomain(host, domain.uuid))) {
    await host.virsh.run(`instance ${domain.name}`, 'start', domain.uuid);
  }
}

function uuidIn(handle: JsonObject): string {
  if (typeof handle.uuid === 'string') return handle.uuid;
  throw new GodwitError('INTERNAL', 'snapshot handle', { reason: 'it names no instance' });
}

function object(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}
