import { GodwitError, type InstanceNic, type OsType } from '@godwit/domain';
import { all, type Element, one, textOf } from '@godwit/provider/xml';
import { readXml } from './xml.ts';

/** A disk of a domain, as its description has it. */
export interface DomainDisk {
  /** Target name: `vda`. Stable within the domain: what the product calls the disk's id. */
  id: string;
  /** `file`, `block`, `volume`, `network`, ... */
  type: string;
  /** qemu's name of the format; `raw` when the description is silent, as libvirt takes it. */
  format: string;
  /** File or block device; null for other types. */
  path: string | null;
  bus: string;
  readOnly: boolean;
  shareable: boolean;
  transient: boolean;
  bootOrder: number | null;
  backend: string | null;
  controller: string | null;
  unit: number | null;
}

/** What the provider reads from a domain's description. */
export interface Domain {
  name: string;
  uuid: string;
  /** `kvm`, `qemu`. */
  type: string;
  root: Element;
  /** As libvirt printed it. */
  text: string;
  disks: DomainDisk[];
  /** True when a guest agent answers on its channel (live description only). */
  agent: boolean;
}

/** @throws GodwitError PLATFORM_ERROR */
export function parseDomain(text: string, object: string): Domain {
  const root = readXml(text, object);
  const name = textOf(root, 'name');
  const uuid = textOf(root, 'uuid');
  if (root.name !== 'domain' || name === null || uuid === null) {
    throw new GodwitError('PLATFORM_ERROR', object, { reason: 'a description that is no domain' });
  }
  const devices = one(root, 'devices');
  return {
    name,
    uuid,
    type: root.attributes.type ?? 'qemu',
    root,
    text,
    disks: all(devices, 'disk')
      .filter((disk) => (disk.attributes.device ?? 'disk') === 'disk' || disk.attributes.device === 'lun')
      .map(diskOf),
    agent: all(devices, 'channel').some((channel) => {
      const target = one(channel, 'target')?.attributes;
      return target?.name === 'org.qemu.guest_agent.0' && target.state === 'connected';
    }),
  };
}

function diskOf(disk: Element): DomainDisk {
  const target = one(disk, 'target')?.attributes;
  const source = one(disk, 'source')?.attributes;
  const address = one(disk, 'address')?.attributes;
  const order = Number.parseInt(one(disk, 'boot')?.attributes.order ?? '', 10);
  const unit = Number.parseInt(address?.unit ?? '', 10);
  const lun = disk.attributes.device === 'lun';
  return {
    id: target?.dev ?? '',
    type: lun ? 'lun' : (disk.attributes.type ?? 'file'),
    format: one(disk, 'driver')?.attributes.type ?? 'raw',
    path: source?.file ?? source?.dev ?? null,
    bus: target?.bus ?? 'virtio',
    readOnly: one(disk, 'readonly') !== undefined,
    shareable: one(disk, 'shareable') !== undefined,
    transient: one(disk, 'transient') !== undefined,
    bootOrder: Number.isNaN(order) ? null : order,
    backend: source?.pool ?? null,
    controller: address?.controller ?? null,
    unit: Number.isNaN(unit) ? null : unit,
  };
}

/** Network interfaces; the id is `net0`, `net1`, ... in the order of the description. */
export function nicsOf(domain: Domain): (InstanceNic & { bootOrder: number | null })[] {
  return all(one(domain.root, 'devices'), 'interface').map((nic, index) => {
    const source = one(nic, 'source')?.attributes;
    const network = source?.network ?? source?.bridge ?? source?.dev ?? nic.attributes.type ?? 'none';
    const order = Number.parseInt(one(nic, 'boot')?.attributes.order ?? '', 10);
    return {
      id: `net${index}`,
      name: one(nic, 'alias')?.attributes.name ?? null,
      network_id: network,
      network_name: network,
      mac_address: one(nic, 'mac')?.attributes.address ?? null,
      model: one(nic, 'model')?.attributes.type ?? null,
      bootOrder: Number.isNaN(order) ? null : order,
    };
  });
}

/** Disk and NIC ids in boot order: by device where the description says so, else by kind of device. */
export function bootOrderOf(domain: Domain): string[] {
  const nics = nicsOf(domain);
  const ordered = [...domain.disks, ...nics]
    .filter((device) => device.bootOrder !== null)
    .sort((a, b) => (a.bootOrder ?? 0) - (b.bootOrder ?? 0));
  if (ordered.length > 0) return ordered.map(({ id }) => id);
  const kinds = all(one(domain.root, 'os'), 'boot').map((boot) => boot.attributes.dev);
  const first = kinds.length > 0 ? kinds : ['hd'];
  return first.flatMap((kind) => {
    if (kind === 'hd') return domain.disks.slice(0, 1).map(({ id }) => id);
    return kind === 'network' ? nics.slice(0, 1).map(({ id }) => id) : [];
  });
}

const memoryUnits: Readonly<Record<string, number>> = {
  b: 1,
  bytes: 1,
  kb: 1e3,
  k: 1024,
  kib: 1024,
  mb: 1e6,
  m: 1024 ** 2,
  mib: 1024 ** 2,
  gb: 1e9,
  g: 1024 ** 3,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

/** MiB; null when the element says nothing sensible. */
export function mebibytes(element: Element | undefined): number | null {
  const value = Number.parseInt(element?.text ?? '', 10);
  if (!(value > 0)) return null;
  const unit = memoryUnits[(element?.attributes.unit ?? 'KiB').toLowerCase()] ?? 1024;
  return Math.max(1, Math.round((value * unit) / 1_048_576));
}

/** Firmware of the domain, as its loader and features tell. */
export function firmwareOf(domain: Domain): { efi: boolean; secureBoot: boolean; nvram: string | null } {
  const os = one(domain.root, 'os');
  const loader = one(os, 'loader');
  const efi =
    os?.attributes.firmware === 'efi' ||
    loader?.attributes.type === 'pflash' ||
    /OVMF|edk2|AAVMF/i.test(loader?.text ?? '');
  return {
    efi,
    secureBoot:
      loader?.attributes.secure === 'yes' ||
      all(one(os, 'firmware'), 'feature').some(
        ({ attributes }) => attributes.name === 'secure-boot' && attributes.enabled === 'yes',
      ),
    nvram: textOf(os, 'nvram'),
  };
}

/** Operating system, from the identity that installers leave in the metadata. */
export function osTypeOf(domain: Domain): OsType {
  const id = domain.root.children
    .filter(({ name }) => name === 'metadata')
    .flatMap(({ children }) => children)
    .filter(({ name }) => name.endsWith(':libosinfo') || name === 'libosinfo')
    .flatMap(({ children }) => children)
    .find(({ name }) => name === 'os' || name.endsWith(':os'))?.attributes.id;
  if (id === undefined) return 'unknown';
  if (/microsoft\.com/.test(id)) return 'windows';
  if (/(free|open|net)bsd/i.test(id)) return 'bsd';
  if (/apple\.com/.test(id)) return 'osx';
  if (/(solaris|openindiana|illumos)/i.test(id)) return 'solaris';
  return 'linux';
}
