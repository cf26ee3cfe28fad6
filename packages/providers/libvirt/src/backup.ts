import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import { all, one, xml } from '@godwit/provider/xml';
import type { Static } from 'typebox';
import { checkpointXml } from './checkpoint.ts';
import type { Host } from './connection.ts';
import type { DomainDisk } from './domain-xml.ts';
import type { sourceEnvironmentSchema } from './environment.ts';
import type { FoundDomain } from './inventory.ts';
import { checkKey, checkpointName, PREFIX } from './mark.ts';
import { complaint, virshError } from './virsh.ts';
import { readXml } from './xml.ts';

export type SourceEnvironment = Static<typeof sourceEnvironmentSchema>;

/** Name of the bitmap in the NBD exports: `qemu:dirty-bitmap:changed`. */
const EXPORTED_BITMAP = 'changed';
/** Ports tried for an export by TCP. */
const PORTS = 64;
/** libvirt may wait half a minute for a busy domain; a cancel should not. */
const BEGIN_PATIENCE_MS = 2_000;
/** A guest that is being frozen is never left alone before it is thawed. */
const FREEZE_LIMIT_MS = 300_000;
/** Tenths of a second that an aborted job may take to end. */
const ABORT_TRIES = 300;
/** Where scratch files go for disks that are no files, unless the environment says. */
const DEFAULT_SCRATCH = '/var/lib/libvirt/images';

/** Where QEMU serves the disks of a backup job. */
export type BackupServer = { unix: string } | { port: number };

/** A backup job as libvirt describes it. */
export interface BackupJob {
  /** Null: it is not one of ours. */
  key: string | null;
  /** ISO 8601. */
  takenAt: string;
  consistency: 'crash' | 'filesystem';
  server: BackupServer;
  /** By disk id: the checkpoint whose changes since are exported, or null. */
  since: Map<string, string | null>;
}

/** A backup job to begin. */
export interface BackupPlan {
  key: string;
  /** By disk id: the checkpoint to tell changes since, or null for none. */
  since: Map<string, string | null>;
  /** Disks that the new checkpoint covers. */
  tracked: ReadonlySet<string>;
  /** What lies below the disks, see `basesOf`. */
  bases: Readonly<Record<string, string>>;
  environment: SourceEnvironment;
}

/** Folder of the scratch file of a disk. */
export function scratchFolder(domain: FoundDomain, disk: DomainDisk, environment: SourceEnvironment): string {
  if (environment.scratch_folder !== undefined) return environment.scratch_folder;
  if (disk.type === 'file' && disk.path !== null) return posix.dirname(disk.path);
  const file = domain.disks.find(({ type, path }) => type === 'file' && path !== null)?.path;
  return file ? posix.dirname(file) : DEFAULT_SCRATCH;
}

/** Scratch files are named so that the job itself tells what it is: key, disk, consistency, moment. */
function scratchName(key: string, disk: string, frozen: boolean, at: Date): string {
  return `${scratchPrefix(key)}${disk}.${frozen ? 'f' : 'c'}.${at.getTime().toString(36)}.scratch`;
}

/** What the names of all scratch files of a snapshot begin with. */
export function scratchPrefix(key: string): string {
  return `${PREFIX}${checkKey(key)}.`;
}

const scratchPattern = /\/godwit-([a-z0-9-]{1,40})\.[^./]+\.([cf])\.([0-9a-z]+)\.scratch$/;

/** The backup job that runs in the domain, or null. */
export async function runningBackup(host: Host, domain: FoundDomain): Promise<BackupJob | null> {
  const object = `instance ${domain.name}`;
  const result = await host.virsh.attempt(['backup-dumpxml', domain.uuid]);
  if (result.code !== 0) {
    if (/no domain backup job present|domain is not running/i.test(result.stderr)) return null;
    throw virshError(result.stderr, object, host.ctx.endpoint);
  }
  const root = readXml(result.stdout, object);
  const server = one(root, 'server')?.attributes;
  const disks = all(one(root, 'disks'), 'disk').filter(({ attributes }) => attributes.backup === 'yes');
  const names = disks.map((disk) => scratchPattern.exec(one(disk, 'scratch')?.attributes.file ?? ''));
  const keys = new Set(names.map((match) => match?.[1] ?? null));
  const [first] = names;
  return {
    key: keys.size === 1 ? (first?.[1] ?? null) : null,
    takenAt: new Date(first?.[3] === undefined ? 0 : Number.parseInt(first[3], 36)).toISOString(),
    consistency: first?.[2] === 'f' ? 'filesystem' : 'crash',
    server: server?.transport === 'unix' ? { unix: server.socket ?? '' } : { port: Number(server?.port ?? 10_809) },
    since: new Map(
      disks.map(({ attributes }) => [
        attributes.name ?? '',
        attributes.backupmode === 'incremental' && attributes.exportbitmap === EXPORTED_BITMAP
          ? (attributes.incremental ?? null)
          : null,
      ]),
    ),
  };
}

/** Meta context of the changed ranges in an export. */
export const changedContext = `qemu:dirty-bitmap:${EXPORTED_BITMAP}`;

/** A bitmap that qemu does not have any more: the disk must be compared in full. */
export class BitmapGone extends Error {
  /** Null: libvirt did not say which disk. */
  readonly disk: string | null;

  constructor(disk: string | null, reason: string) {
    super(reason);
    this.disk = disk;
  }
}

/**
 * Freezes all disks at one moment and begins to serve them, with a checkpoint made in the same step.
 *
 * @throws BitmapGone; GodwitError CONFLICT (another job), PLATFORM_ERROR, TARGET_FULL
 */
export async function beginBackup(host: Host, domain: FoundDomain, plan: BackupPlan): Promise<void> {
  const wish = plan.environment.quiesce ?? 'auto';
  if (wish === 'always' && !domain.agent) {
    throw new GodwitError('CONFLICT', `instance ${domain.name}`, {
      reason: 'its file systems cannot be frozen: no guest agent answers',
    });
  }
  const freeze = wish !== 'never' && domain.agent;
  if (await beginAnywhere(host, domain, plan, freeze)) return;
  // The disks were frozen, the file systems were not: the job's name would tell a lie.
  await abortBackup(host, domain);
  if (wish === 'always') {
    throw new GodwitError('CONFLICT', `instance ${domain.name}`, { reason: 'its guest agent could not freeze' });
  }
  await beginAnywhere(host, domain, plan, false);
}

/** @returns false when it began, but the guest did not freeze */
async function beginAnywhere(host: Host, domain: FoundDomain, plan: BackupPlan, freeze: boolean): Promise<boolean> {
  const unix = preferUnix(host, plan.environment);
  if (unix) {
    const hash = createHash('sha256').update(`${domain.uuid} ${plan.key}`).digest('hex').slice(0, 16);
    const socket = posix.join(plan.environment.socket_folder ?? '/var/tmp', `${PREFIX}${hash}`);
    const outcome = await begin(host, domain, plan, freeze, { unix: socket });
    if (outcome.begun) return outcome.frozen;
    const denied = /Failed to bind socket|Failed to (create|unlink) (UNIX )?socket|Permission denied/i;
    if (plan.environment.nbd === 'unix' || !denied.test(outcome.stderr)) throw refusal(host, domain, outcome.stderr);
  }
  const first = plan.environment.nbd_port ?? 10_809;
  const start = createHash('sha256').update(plan.key).digest().readUInt16BE() % PORTS;
  for (let step = 0; ; step++) {
    const outcome = await begin(host, domain, plan, freeze, { port: first + ((start + step) % PORTS) });
    if (outcome.begun) return outcome.frozen;
    const taken = /Address already in use|Failed to find an available port/i.test(outcome.stderr);
    if (!taken || step === PORTS - 1) throw refusal(host, domain, outcome.stderr);
  }
}

/** Sockets of QEMU are open to its own user and to root. */
function preferUnix(host: Host, environment: SourceEnvironment): boolean {
  if (environment.nbd === 'unix') return true;
  if (environment.nbd === 'tcp') return false;
  const { transport, session, user } = host.address;
  if (transport === 'ssh') return user === 'root';
  return transport === 'unix' && (session || process.getuid?.() === 0);
}

interface Outcome {
  begun: boolean;
  frozen: boolean;
  stderr: string;
}

async function begin(
  host: Host,
  domain: FoundDomain,
  plan: BackupPlan,
  freeze: boolean,
  server: BackupServer,
): Promise<Outcome> {
  const now = new Date();
  const backup = xml('domainbackup', { mode: 'pull' }, [
    'unix' in server
      ? xml('server', { transport: 'unix', socket: server.unix })
      : xml('server', {
          transport: 'tcp',
          name: bindAddress(host),
          port: server.port,
          tls: host.tls === null ? undefined : 'yes',
        }),
    xml(
      'disks',
      {},
      domain.disks.map((disk) => {
        const since = plan.since.get(disk.id) ?? null;
        const scratch = posix.join(
          scratchFolder(domain, disk, plan.environment),
          scratchName(plan.key, disk.id, freeze, now),
        );
        return xml(
          'disk',
          {
            name: disk.id,
            backup: 'yes',
            type: 'file',
            exportname: disk.id,
            ...(since === null
              ? { backupmode: 'full' }
              : { backupmode: 'incremental', incremental: since, exportbitmap: EXPORTED_BITMAP }),
          },
          [xml('scratch', { file: scratch })],
        );
      }),
    ),
  ]).xml;
  const checkpoint = checkpointXml(checkpointName(plan.key), domain.disks, plan.tracked, plan.bases);
  return host.virsh.withFile(backup, (backupFile) =>
    host.virsh.withFile(checkpoint, async (checkpointFile) => {
      const command = ['backup-begin', domain.uuid, backupFile, ...(plan.tracked.size > 0 ? [checkpointFile] : [])];
      if (!freeze) {
        // Cut in the middle, the job could begin after its removal.
        const { code, stderr } = await host.virsh.attempt(command, { patienceMs: BEGIN_PATIENCE_MS });
        return { begun: code === 0, frozen: true, stderr };
      }
      // In one process that outlives ours, so that a frozen guest is always thawed.
      const { code, stdout, stderr } = await host.virsh.batch(
        [['domfsfreeze', domain.uuid], command, ['domfsthaw', domain.uuid]],
        { timeoutMs: FREEZE_LIMIT_MS, patienceMs: FREEZE_LIMIT_MS, survives: true },
      );
      if (code !== 0) await thaw(host, domain);
      return { begun: stdout.includes('Backup started'), frozen: !/Unable to freeze/.test(stderr), stderr };
    }),
  );
}

/** Once more: a guest that stays frozen hangs. An agent that is not frozen answers that nothing was thawed. */
export async function thaw(host: Host, domain: FoundDomain): Promise<void> {
  for (let tries = 0; tries < 3; tries++) {
    const result = await host.virsh.attempt(['domfsthaw', domain.uuid], { patienceMs: FREEZE_LIMIT_MS });
    if (result.code === 0) return;
  }
  host.ctx.progress(
    `The guest agent of ${domain.name} does not answer; see "virsh domfsthaw ${domain.name}" if the guest hangs`,
  );
}

/** Remote hosts bind the address we reach them at, never more. */
function bindAddress(host: Host): string {
  return host.sameMachine || host.ssh !== null ? '127.0.0.1' : host.nbdHost;
}

function refusal(host: Host, domain: FoundDomain, stderr: string): Error {
  const named =
    /missing or broken bitmap '[^']*' for disk '([^']+)'|incremental backup of disk '([^']+)' not found/.exec(stderr);
  const reason = complaint(stderr);
  if (named) return new BitmapGone(named[1] ?? named[2] ?? null, reason);
  if (/bitmap|checkpoint inconsistent/i.test(stderr)) return new BitmapGone(null, reason);
  return virshError(stderr, `instance ${domain.name}`, host.ctx.endpoint);
}

/** Ends the running backup job: QEMU stops serving and copying. No job is success. */
export async function abortBackup(host: Host, domain: FoundDomain): Promise<void> {
  const object = `instance ${domain.name}`;
  const result = await host.virsh.attempt(['domjobabort', domain.uuid]);
  if (result.code !== 0) {
    if (/no job is active|domain is not running/i.test(result.stderr)) return;
    throw virshError(result.stderr, object, host.ctx.endpoint);
  }
  // The command asks; QEMU lets go of the disks a moment later.
  for (let tries = 0; (await runningBackup(host, domain)) !== null; tries++) {
    if (tries === ABORT_TRIES) throw new GodwitError('CONFLICT', object, { reason: 'its backup job does not end' });
    await sleep(100);
  }
}
