import { posix } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  GodwitError,
  type InstanceDisk,
  type InstanceInfo,
  type InstanceSummary,
  type JsonObject,
  type Network,
  type StorageBackend,
} from '@godwit/domain';
import type { InstanceQuery, OptionValues, ProviderContext } from '@godwit/provider';
import { all, one, textOf } from '@godwit/provider/xml';
import { type Host, openHost } from './connection.ts';
import { bootOrderOf, type Domain, firmwareOf, mebibytes, nicsOf, osTypeOf, parseDomain } from './domain-xml.ts';
import { words } from './host-files.ts';
import { virshError } from './virsh.ts';
import { readXml } from './xml.ts';

/** Descriptions asked for in one call of virsh. */
const BATCH = 100;
const MIB = 1_048_576;
/** Media types of the artefacts. */
export const DOMAIN_XML = 'application/x-libvirt-domain+xml';
export const NVRAM = 'application/x-nvram+gzip;base64';
/** Bytes; larger variable stores are not carried along. */
export const MAX_NVRAM = 8 * MIB;

/** A domain and whether it runs. */
export interface FoundDomain extends Domain {
  /** `running`, `paused`, `shut off`, ... */
  state: string;
}

export async function validateConnection(ctx: ProviderContext): Promise<void> {
  const host = await openHost(ctx);
  const answer = await host.virsh.run(ctx.endpoint, 'uri');
  if (!/^qemu/.test(answer.trim())) throw new GodwitError('UNSUPPORTED', ctx.endpoint, { what: 'a QEMU hypervisor' });
}

/**
 * The domain of that UUID or name.
 *
 * @param live the running description (with backing chains and agent state); else the one of the next start
 * @throws GodwitError NOT_FOUND
 */
export async function findDomain(host: Host, instance: string, live = true): Promise<FoundDomain> {
  const object = `instance ${instance}`;
  // virsh takes a number for the id of a running domain.
  if (instance === '' || instance.startsWith('-') || /^\d+$/.test(instance)) throw new GodwitError('NOT_FOUND', object);
  const result = await host.virsh.batch([
    ['dumpxml', instance, ...(live ? [] : ['--inactive'])],
    ['domstate', instance],
  ]);
  const end = result.stdout.lastIndexOf('</domain>');
  if (result.code !== 0 || end < 0) throw virshError(result.stderr, object, host.ctx.endpoint);
  const domain = parseDomain(result.stdout.slice(0, end + 9), object);
  return { ...domain, state: result.stdout.slice(end + 9).trim() };
}

/** True for domains whose QEMU process lives. */
export function isActive(domain: FoundDomain): boolean {
  return domain.state !== 'shut off' && domain.state !== 'crashed';
}

/** True for a stopped domain that will go on from its saved memory: its disks lack what the guest has not written yet. */
export async function isSaved(host: Host, domain: FoundDomain): Promise<boolean> {
  return /^Managed save:\s*yes/m.test(await host.virsh.run(`instance ${domain.name}`, 'dominfo', domain.uuid));
}

export async function listInstances(ctx: ProviderContext, query: InstanceQuery): Promise<InstanceSummary[]> {
  const host = await openHost(ctx);
  const ids = words(await host.virsh.run(ctx.endpoint, 'list', '--all', '--uuid'));
  const found: InstanceSummary[] = [];
  for (let at = 0; at < ids.length; at += BATCH) {
    const { stdout } = await host.virsh.batch(ids.slice(at, at + BATCH).map((id) => ['dumpxml', id]));
    // A domain that vanished meanwhile has printed nothing.
    for (const text of stdout.split('</domain>').slice(0, -1)) {
      found.push(summaryOf(parseDomain(`${text.trim()}</domain>`, ctx.endpoint)));
    }
  }
  const wanted = query.name?.toLowerCase();
  const sorted = found
    .filter(({ name }) => wanted === undefined || name.toLowerCase().includes(wanted))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
  const start = query.marker === undefined ? 0 : sorted.findIndex(({ id }) => id === query.marker) + 1;
  return sorted.slice(start, query.limit === undefined ? undefined : start + query.limit);
}

function summaryOf(domain: Domain): InstanceSummary {
  return {
    id: domain.uuid,
    name: domain.name,
    num_cpu: Math.max(1, Number.parseInt(textOf(domain.root, 'vcpu') ?? '1', 10) || 1),
    memory_mb: mebibytes(one(domain.root, 'memory')) ?? 1,
    os_type: osTypeOf(domain),
    firmware_type: firmwareOf(domain).efi ? 'EFI' : 'BIOS',
  };
}

/** Everything a target needs, with the description and the firmware's variables as artefacts. */
export async function getInstance(ctx: ProviderContext, id: string): Promise<InstanceInfo> {
  const host = await openHost(ctx);
  return describeInstance(host, await findDomain(host, id));
}

export async function describeInstance(host: Host, domain: FoundDomain): Promise<InstanceInfo> {
  const firmware = firmwareOf(domain);
  const devices = one(domain.root, 'devices');
  const memory = mebibytes(one(domain.root, 'memory')) ?? 1;
  const current = mebibytes(one(domain.root, 'currentMemory')) ?? memory;
  const nvram = firmware.nvram === null ? null : await readNvram(host, firmware.nvram, domain.name);
  return {
    ...summaryOf(domain),
    firmware_type: firmware.efi ? 'EFI' : 'BIOS',
    running: isActive(domain),
    secure_boot: firmware.secureBoot,
    nested_virtualization: all(one(domain.root, 'cpu'), 'feature').some(
      ({ attributes }) => /^(vmx|svm)$/.test(attributes.name ?? '') && attributes.policy === 'require',
    ),
    dynamic_memory_enabled: current < memory,
    hostname: null,
    machine_type: one(domain.root, 'os', 'type')?.attributes.machine ?? null,
    boot_order: bootOrderOf(domain),
    devices: {
      disks: await disksOf(host, domain),
      nics: nicsOf(domain).map(({ bootOrder: _, ...nic }) => nic),
      cdroms: removable(domain, 'cdrom'),
      floppies: removable(domain, 'floppy'),
      serial_ports: all(devices, 'serial').map(({ attributes }, index) => ({ id: `serial${index}`, ...attributes })),
      controllers: all(devices, 'controller').map(({ attributes }) => ({ ...attributes })),
    },
    artefacts: { [DOMAIN_XML]: domain.text, ...(nvram === null ? {} : { [NVRAM]: nvram }) },
  };
}

function removable(domain: Domain, device: string): object[] {
  return all(one(domain.root, 'devices'), 'disk')
    .filter(({ attributes }) => attributes.device === device)
    .map((disk) => ({
      id: one(disk, 'target')?.attributes.dev ?? device,
      path: one(disk, 'source')?.attributes.file ?? null,
    }));
}

async function disksOf(host: Host, domain: FoundDomain): Promise<InstanceDisk[]> {
  const sizes = await diskSizes(host, domain);
  return domain.disks.map((disk) => ({
    id: disk.id,
    size_bytes: sizes.get(disk.id) ?? 0,
    format: disk.format,
    path: disk.path,
    unit_number: disk.unit,
    controller_id: disk.controller,
    storage_backend_identifier: disk.backend ?? (disk.path === null ? null : posix.dirname(disk.path)),
    allocation_type: disk.format === 'raw' && disk.type === 'block' ? 'static' : 'dynamic',
    bus: disk.bus,
    shareable: disk.shareable,
  }));
}

/** Bytes by disk id, as the guest sees them: qemu rounds raw files up to whole sectors. */
export async function diskSizes(host: Host, domain: FoundDomain): Promise<Map<string, number>> {
  if (domain.disks.length === 0) return new Map();
  const result = await host.virsh.batch(domain.disks.map(({ id }) => ['domblkinfo', domain.uuid, id]));
  const capacities = [...result.stdout.matchAll(/^Capacity:\s*(\d+)/gm)].map(([, bytes]) => Number(bytes));
  if (capacities.length !== domain.disks.length) {
    throw virshError(result.stderr, `disks of instance ${domain.name}`, host.ctx.endpoint);
  }
  return new Map(domain.disks.map(({ id }, index) => [id, Math.ceil((capacities[index] ?? 0) / 512) * 512]));
}

async function readNvram(host: Host, path: string, name: string): Promise<string | null> {
  if (host.files.reach === 'none') return null;
  const size = await host.files.run('stat', ['-c', '%s', '--', path], `firmware variables of ${name}`);
  if (size.code !== 0 || Number(size.stdout) > MAX_NVRAM) return null;
  const read = await host.files.run('base64', ['-w0', '--', path], `firmware variables of ${name}`);
  if (read.code !== 0) return null;
  return gzipSync(Buffer.from(read.stdout, 'base64')).toString('base64');
}

export async function listNetworks(ctx: ProviderContext): Promise<Network[]> {
  const host = await openHost(ctx);
  const names = words(await host.virsh.run(ctx.endpoint, 'net-list', '--all', '--name'));
  return names.sort().map((name) => ({ id: name, name }));
}

/** Storage pools that hold files; the id is the pool's name. */
export async function listStorage(ctx: ProviderContext): Promise<StorageBackend[]> {
  const host = await openHost(ctx);
  const found: StorageBackend[] = [];
  for (const pool of words(await host.virsh.run(ctx.endpoint, 'pool-list', '--name')).sort()) {
    const result = await host.virsh.attempt(['pool-dumpxml', pool]);
    if (result.code !== 0) continue;
    const root = readXml(result.stdout, `storage pool ${pool}`);
    const type = root.attributes.type ?? '';
    if (!folderPools.has(type)) continue;
    const available = Number(textOf(root, 'available'));
    found.push({
      id: pool,
      name: pool,
      ...(Number.isSafeInteger(available) ? { available_bytes: available } : {}),
      additional_provider_properties: { type, path: textOf(root, 'target', 'path') },
    });
  }
  return found;
}

export const folderPools = new Set(['dir', 'fs', 'netfs']);

/** Values on offer for `storage` and `network` of the destination; the source has none to ask the host for. */
export async function listOptions(
  ctx: ProviderContext,
  side: 'source' | 'destination',
  _environment: JsonObject,
  names: string[],
): Promise<OptionValues[]> {
  if (side === 'source') return [];
  const wanted = (name: string) => names.length === 0 || names.includes(name);
  const options: OptionValues[] = [];
  if (wanted('storage')) {
    const pools = await listStorage(ctx);
    options.push({
      name: 'storage',
      values: pools.map(({ id, name }) => ({ id, name })),
      config_default: pools.some(({ id }) => id === 'default') ? 'default' : null,
    });
  }
  if (wanted('network')) options.push({ name: 'network', values: await listNetworks(ctx), config_default: null });
  return options;
}

/** UUIDs of the domains whose description names a file as a disk, running or not. */
export async function domainsUsing(host: Host, path: string): Promise<string[]> {
  const found: string[] = [];
  const ids = words(await host.virsh.run(host.ctx.endpoint, 'list', '--all', '--uuid'));
  for (let at = 0; at < ids.length; at += BATCH) {
    const { stdout } = await host.virsh.batch(ids.slice(at, at + BATCH).map((id) => ['dumpxml', id]));
    for (const text of stdout.split('</domain>').slice(0, -1)) {
      const domain = parseDomain(`${text.trim()}</domain>`, host.ctx.endpoint);
      if (domain.disks.some((disk) => disk.path === path)) found.push(domain.uuid);
    }
  }
  return found;
}

/** True when an instance took the disk over. */
export async function isUsedByInstance(host: Host, path: string): Promise<boolean> {
  return (await domainsUsing(host, path)).length > 0;
}
