import type { ImageFormat } from '@godwit/disk';
import { GodwitError, type InstanceNic } from '@godwit/domain';
import { all, type Element, one, textOf } from '@godwit/provider/xml';
import { blankInfo, type DescribedDisk, type Description, osTypeOf } from './description.ts';
import { readXml } from './xml.ts';

/**
 * Reads a libvirt domain XML. Of the path of a disk only the file name counts: the file lies beside the XML.
 *
 * @param object the file, for errors
 * @throws GodwitError DISK_CORRUPT, UNSUPPORTED (a disk that is no file)
 */
export function readDomain(text: string, object: string): Description {
  const domain = readXml(text, object, 'domain XML');
  if (domain.name !== 'domain') {
    throw new GodwitError('DISK_CORRUPT', object, { format: 'domain XML', reason: `its root is <${domain.name}>` });
  }
  const info = blankInfo(textOf(domain, 'name') ?? 'vm');
  info.num_cpu = Math.max(1, Number.parseInt(textOf(domain, 'vcpu') ?? '', 10) || 1);
  info.memory_mb = memoryOf(one(domain, 'memory')) ?? info.memory_mb;
  const os = one(domain, 'os');
  const loader = one(os, 'loader');
  const efi = os?.attributes.firmware === 'efi' || loader?.attributes.type === 'pflash';
  if (efi) info.firmware_type = 'EFI';
  info.secure_boot =
    loader?.attributes.secure === 'yes' ||
    all(one(os, 'firmware'), 'feature').some(
      (feature) => feature.attributes.name === 'secure-boot' && feature.attributes.enabled === 'yes',
    );
  info.machine_type = one(os, 'type')?.attributes.machine ?? null;
  info.os_type = osTypeOf(one(domain, 'metadata', 'libosinfo', 'os')?.attributes.id ?? null);

  const devices = one(domain, 'devices');
  const disks = all(devices, 'disk').filter((disk) => (disk.attributes.device ?? 'disk') === 'disk');
  const described = disks.map((disk) => diskOf(disk, object));
  info.devices.nics = all(devices, 'interface').map(nicOf);
  info.devices.cdroms = all(devices, 'disk')
    .filter((disk) => disk.attributes.device === 'cdrom')
    .map((disk) => ({ id: one(disk, 'target')?.attributes.dev ?? 'cdrom' }));
  info.devices.controllers = all(devices, 'controller').map((controller) => ({ ...controller.attributes }));
  info.devices.serial_ports = all(devices, 'serial').map((_, index) => ({ id: `serial${index}` }));
  info.boot_order = bootOrder(os, disks, all(devices, 'interface'), described, info.devices.nics);
  info.artefacts = { 'application/x-libvirt-domain+xml': text };
  return { info, disks: described };
}

/** File names of all disks and CDs that the domain refers to. */
export function filesOfDomain(text: string, object: string): string[] {
  return all(one(readXml(text, object, 'domain XML'), 'devices'), 'disk')
    .map((disk) => one(disk, 'source')?.attributes.file)
    .filter((path) => path !== undefined)
    .map(lastPart);
}

const units: Readonly<Record<string, number>> = {
  b: 1,
  bytes: 1,
  kb: 1e3,
  k: 1024,
  mb: 1e6,
  m: 1024 ** 2,
  gb: 1e9,
  g: 1024 ** 3,
};

function memoryOf(element: Element | undefined): number | null {
  const value = Number.parseInt(element?.text ?? '', 10);
  if (!(value > 0)) return null;
  const unit = (element?.attributes.unit ?? 'KiB').toLowerCase().replace(/ib$/, '');
  return Math.max(1, Math.round((value * (units[unit] ?? 1024)) / 1_048_576));
}

function diskOf(disk: Element, object: string): DescribedDisk {
  const target = one(disk, 'target');
  const id = target?.attributes.dev ?? '';
  const path = one(disk, 'source')?.attributes.file;
  if (id === '') {
    throw new GodwitError('DISK_CORRUPT', object, { format: 'domain XML', reason: 'a disk has no target' });
  }
  if (path === undefined) throw new GodwitError('UNSUPPORTED', object, { what: `disk ${id}, which is not a file` });
  return {
    id,
    file: lastPart(path),
    format: formatOf(one(disk, 'driver')?.attributes.type, id, object),
    capacity: null,
    gzip: false,
    device: {
      bus: target?.attributes.bus ?? null,
      shareable: one(disk, 'shareable') !== undefined,
    },
  };
}

function formatOf(type: string | undefined, id: string, object: string): ImageFormat | null {
  switch (type) {
    case undefined:
      return null;
    case 'raw':
    case 'qcow2':
    case 'vmdk':
    case 'vhdx':
    case 'vpc':
    case 'vdi':
      return type;
    default:
      throw new GodwitError('UNSUPPORTED', object, { what: `format ${type} of disk ${id}` });
  }
}

function nicOf(nic: Element, index: number): InstanceNic {
  const source = one(nic, 'source')?.attributes;
  const mac = one(nic, 'mac')?.attributes.address ?? null;
  return {
    id: mac ?? `nic${index}`,
    name: `nic${index}`,
    network_name: source?.network ?? source?.bridge ?? source?.dev ?? nic.attributes.type ?? '',
    mac_address: mac,
    model: one(nic, 'model')?.attributes.type ?? null,
  };
}

/** Per device where it is stated so, else by the classes of `<os><boot>`. */
function bootOrder(
  os: Element | undefined,
  disks: Element[],
  interfaces: Element[],
  described: DescribedDisk[],
  nics: InstanceNic[],
): string[] {
  const devices = [
    ...disks.map((element, index) => ({ element, id: described[index]?.id ?? '' })),
    ...interfaces.map((element, index) => ({ element, id: nics[index]?.id ?? '' })),
  ];
  const order = (element: Element) => Number.parseInt(one(element, 'boot')?.attributes.order ?? '', 10);
  const stated = devices.filter(({ element }) => order(element) > 0);
  if (stated.length > 0) return stated.sort((a, b) => order(a.element) - order(b.element)).map(({ id }) => id);
  const classes = all(os, 'boot').map((boot) => boot.attributes.dev);
  return (classes.length === 0 ? ['hd'] : classes).flatMap((kind) => {
    if (kind === 'hd') return described.map(({ id }) => id);
    return kind === 'network' ? nics.map(({ id }) => id) : [];
  });
}

function lastPart(path: string): string {
  return path.split('/').at(-1) ?? path;
}
