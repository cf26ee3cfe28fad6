import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { JsonObject } from '@godwit/domain';
import type { Ledger, LedgerEntry, ProviderContext } from '@godwit/provider';
import { type LibvirtHost, startLibvirtHost } from '../../../../testbed/libvirt/libvirt-host.ts';

const exec = promisify(execFile);

/** Runs a program; rejects with what it complains about. */
export async function run(program: string, ...args: string[]): Promise<string> {
  return (await exec(program, args, { maxBuffer: 64 * 1024 * 1024 })).stdout;
}

/** A ledger in memory that keeps what was announced and not yet removed. */
export class MemoryLedger implements Ledger {
  readonly entries = new Map<string, LedgerEntry & { keep: string; made: boolean }>();

  intend(kind: LedgerEntry['kind'], name: string, handle: JsonObject, keep = 'execution'): Promise<LedgerEntry> {
    const id = `${kind}/${name}`;
    const entry = this.entries.get(id) ?? { id, kind, name, handle, keep, made: false };
    this.entries.set(id, entry);
    return Promise.resolve(entry);
  }

  made(entry: LedgerEntry, handle?: JsonObject): Promise<void> {
    const known = this.entries.get(entry.id);
    if (known) this.entries.set(entry.id, { ...known, made: true, handle: handle ?? known.handle });
    return Promise.resolve();
  }

  removed(kind: LedgerEntry['kind'], name: string): Promise<void> {
    this.entries.delete(`${kind}/${name}`);
    return Promise.resolve();
  }

  names(): string[] {
    return [...this.entries.keys()].sort();
  }
}

/** A domain without an operating system: it runs, and its disks are written to through QEMU as a guest would. */
export interface LabDomain {
  name: string;
  uuid: string;
  /** Image file by disk id. */
  files: Record<string, string>;
  /** Writes a byte over a range of a disk, through the running QEMU. */
  write(disk: string, byte: number, offset: number, length: number): Promise<void>;
  /** Writes bytes into a disk, running or not. */
  writeBytes(disk: string, offset: number, bytes: Uint8Array): Promise<void>;
  start(): Promise<void>;
  /** SIGTERM to QEMU: caches and bitmaps are stored. */
  powerOff(): Promise<void>;
  /** SIGKILL to QEMU: nothing is stored. */
  crash(): Promise<void>;
}

export interface LabDisk {
  id: string;
  format: 'qcow2' | 'raw';
  /** Bytes. */
  size: number;
}

/** A libvirt host with what a provider needs to work against it. */
export interface Lab {
  host: LibvirtHost;
  ledger: MemoryLedger;
  /** @param overrides of the connection info */
  context(overrides?: JsonObject, signal?: AbortSignal): ProviderContext;
  /** Makes and starts a domain. */
  domain(name: string, disks: readonly LabDisk[], more?: string): Promise<LabDomain>;
  stop(): Promise<void>;
}

export async function openLab(options: { tcpPort?: number; sasl?: boolean; ssh?: boolean } = {}): Promise<Lab> {
  const host = await startLibvirtHost(options);
  await host.virsh('pool-create-as', 'default', 'dir', '--target', host.images);
  if (host.networks) await makeNetwork(host, 'lan');
  const workDir = await mkdtemp(join(tmpdir(), 'gwlw-'));
  const ledger = new MemoryLedger();
  return {
    host,
    ledger,
    context: (overrides = {}, signal = new AbortController().signal) => ({
      endpoint: 'endpoint lab',
      connectionInfo: { uri: host.uri, ...overrides },
      signal,
      ledger,
      workDir,
      progress: () => undefined,
    }),
    domain: (name, disks, more = '') => makeDomain(host, name, disks, more),
    async stop() {
      await host.stop();
      await rm(workDir, { recursive: true, force: true });
    },
  };
}

/** Connection info over SSH. @param key file name of the private key: `client` is the right one, `host` is refused */
export async function sshConnection(lab: Lab, key = 'client'): Promise<JsonObject> {
  const file = (name: string) => readFile(join(lab.host.dir, 'ssh', name), 'utf8');
  const uri = lab.host.sshUri ?? '';
  const address = /@([^/]+)/.exec(uri)?.[1];
  return {
    uri,
    ssh_private_key: await file(key),
    ssh_known_hosts: `${address} ${await file('host.pub')}`,
  };
}

/** A network without addresses: tests look at descriptions, not at traffic. */
export async function makeNetwork(host: LibvirtHost, name: string): Promise<void> {
  const file = join(host.dir, `${name}.network.xml`);
  await writeFile(file, `<network><name>${name}</name><bridge name='br-${name}'/></network>`);
  await host.virsh('net-create', file);
}

async function makeDomain(
  host: LibvirtHost,
  name: string,
  disks: readonly LabDisk[],
  more: string,
): Promise<LabDomain> {
  const files: Record<string, string> = {};
  for (const { id, format, size } of disks) {
    const file = join(host.images, `${name}-${id}.${format}`);
    await run('qemu-img', 'create', '-q', '-f', format, file, String(size));
    files[id] = file;
  }
  const machine = `<os><type arch='x86_64' machine='q35'>hvm</type></os>`;
  const devices = disks.map(
    ({ id, format }) =>
      `<disk type='file' device='disk'><driver name='qemu' type='${format}' discard='unmap'/>` +
      `<source file='${files[id]}'/><target dev='${id}' bus='virtio'/></disk>`,
  );
  const description = join(host.dir, `${name}.xml`);
  await writeFile(
    description,
    `<domain type='qemu'><name>${name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>${machine}
    <devices>${devices.join('')}${more}</devices></domain>`,
  );
  await host.virsh('define', description);
  await host.virsh('start', name);
  const uuid = (await host.virsh('domuuid', name)).trim();
  return {
    name,
    uuid,
    files,
    async write(disk, byte, offset, length) {
      const device = `/machine/peripheral/virtio-disk${disks.findIndex(({ id }) => id === disk)}/virtio-backend`;
      const command = `qemu-io -d ${device} "write -P ${byte} ${offset} ${length}"`;
      const said = await host.virsh('qemu-monitor-command', name, '--hmp', command);
      if (said.trim() !== '') throw new Error(`guest's write failed: ${said}`);
    },
    async writeBytes(disk, offset, bytes) {
      const content = join(host.dir, 'bytes');
      await writeFile(content, bytes);
      const device = `/machine/peripheral/virtio-disk${disks.findIndex(({ id }) => id === disk)}/virtio-backend`;
      const io = `write -s ${content} ${offset} ${bytes.length}`;
      const running = (await host.virsh('domstate', name)).trim() === 'running';
      const said = running
        ? (await host.virsh('qemu-monitor-command', name, '--hmp', `qemu-io -d ${device} "${io}"`)).trim()
        : await run('qemu-io', '-f', disks.find(({ id }) => id === disk)!.format, '-c', `${io}`, files[disk]!);
      if (running && said !== '') throw new Error(`guest's write failed: ${said}`);
    },
    async start() {
      await host.virsh('start', name);
    },
    async powerOff() {
      await host.virsh('destroy', name, '--graceful');
    },
    async crash() {
      // The PID that libvirt notes is of the host's own PID namespace.
      await run('pkill', '-KILL', '-f', `guest=${name},.*${host.dir}`);
      while ((await host.virsh('domstate', name)).trim() === 'running') await new Promise((r) => setTimeout(r, 50));
    },
  };
}
