import type { ImageFormat } from '@godwit/disk';
import { GodwitError, type InstanceNic } from '@godwit/domain';
import { all, type Element, one, textOf } from '@godwit/provider/xml';
import { blankInfo, type DescribedDisk, type Description, osTypeOf } from './description.ts';
import { readXml } from './xml.ts';

/** CIM resource types of virtual hardware. */
const resource = {
  cpu: 3,
  memory: 4,
  ide: 5,
  scsi: 6,
  nic: 10,
  floppy: 14,
  cd: 15,
  dvd: 16,
  disk: 17,
  sata: 20,
  serial: 21,
};
const bus = new Map([
  [resource.ide, 'ide'],
  [resource.scsi, 'scsi'],
  [resource.sata, 'sata'],
]);

/**
 * Reads an OVF 1 or 2 descriptor of one VM.
 *
 * @param object the file, for errors
 * @throws GodwitError DISK_CORRUPT, UNSUPPORTED (several VMs, disks in chunks)
 */
export function readOvf(text: string, object: string): Description {
  const envelope = readXml(text, object, 'OVF');
  if (envelope.name !== 'Envelope') {
    throw new GodwitError('DISK_CORRUPT', object, { format: 'OVF', reason: `its root is <${envelope.name}>` });
  }
  const systems = virtualSystems(envelope);
  const system = systems[0];
  if (system === undefined) {
    throw new GodwitError('DISK_CORRUPT', object, { format: 'OVF', reason: 'it describes no VM' });
  }
  if (systems.length > 1) throw new GodwitError('UNSUPPORTED', object, { what: 'several VMs in one OVF' });

  const hardware = one(system, 'VirtualHardwareSection');
  const items = (hardware?.children ?? []).filter((child) => child.name.endsWith('Item')).map(itemOf);
  const quantity = (type: number) => items.find((item) => item.type === type)?.quantity ?? null;
  const memory = items.find((item) => item.type === resource.memory);
  const info = blankInfo(textOf(system, 'Name') ?? system.attributes.id ?? 'vm');
  info.num_cpu = Math.max(1, quantity(resource.cpu) ?? 1);
  if (memory?.quantity) info.memory_mb = Math.max(1, Math.round((memory.quantity * memory.unit) / 1_048_576));
  const os = one(system, 'OperatingSystemSection');
  info.os_type = osTypeOf(`${textOf(os, 'Description') ?? ''} ${os?.attributes.osType ?? ''}`.trim() || null);
  const config = new Map(all(hardware, 'Config').map((entry) => [entry.attributes.key, entry.attributes.value]));
  if (config.get('firmware')?.toLowerCase() === 'efi') info.firmware_type = 'EFI';
  info.secure_boot = config.get('bootOptions.efiSecureBootEnabled') === 'true';
  info.nested_virtualization = config.get('nestedHVEnabled') === 'true';
  info.devices.nics = items.filter((item) => item.type === resource.nic).map(nicOf);
  info.devices.controllers = items
    .filter((item) => bus.has(item.type))
    .map((item) => ({ id: item.id, type: bus.get(item.type) ?? null, address: item.address }));
  info.devices.cdroms = items
    .filter((item) => item.type === resource.cd || item.type === resource.dvd)
    .map((item) => ({ id: item.id }));
  info.artefacts = { 'application/ovf+xml': text };

  const disks = disksOf(envelope, items, object);
  info.boot_order = disks.map((disk) => disk.id);
  return { info, disks };
}

/** Names of all files that the descriptor refers to. */
export function filesOfOvf(text: string, object: string): string[] {
  return all(one(readXml(text, object, 'OVF'), 'References'), 'File')
    .map((file) => file.attributes.href)
    .filter((href) => href !== undefined);
}

interface Item {
  id: string;
  type: number;
  quantity: number | null;
  /** Bytes of one unit of the quantity. */
  unit: number;
  parent: string | null;
  address: number | null;
  addressText: string | null;
  name: string | null;
  subType: string | null;
  connection: string | null;
  hosts: string[];
}

function itemOf(element: Element): Item {
  const number = (name: string) => {
    const value = Number.parseInt(textOf(element, name) ?? '', 10);
    return Number.isFinite(value) ? value : null;
  };
  return {
    id: textOf(element, 'InstanceID') ?? '',
    type: number('ResourceType') ?? 0,
    quantity: number('VirtualQuantity'),
    unit: unitOf(textOf(element, 'AllocationUnits'), 1_048_576),
    parent: textOf(element, 'Parent'),
    address: number('AddressOnParent') ?? number('Address'),
    addressText: textOf(element, 'Address'),
    name: textOf(element, 'ElementName') ?? textOf(element, 'Caption'),
    subType: textOf(element, 'ResourceSubType'),
    connection: textOf(element, 'Connection'),
    hosts: all(element, 'HostResource').map((host) => host.text),
  };
}

function virtualSystems(element: Element): Element[] {
  return element.children.flatMap((child) => {
    if (child.name === 'VirtualSystem') return [child];
    return child.name === 'VirtualSystemCollection' ? virtualSystems(child) : [];
  });
}

function nicOf(item: Item, index: number): InstanceNic {
  return {
    id: item.id === '' ? `nic${index}` : item.id,
    name: item.name,
    network_name: item.connection ?? '',
    mac_address: macOf(item.addressText),
    model: item.subType?.split(/[\s,]/)[0]?.toLowerCase() ?? null,
  };
}

function macOf(text: string | null): string | null {
  const digits = text?.replace(/[^0-9a-f]/gi, '').toLowerCase() ?? '';
  return digits.length === 12 ? (digits.match(/../g)?.join(':') ?? null) : null;
}

function disksOf(envelope: Element, items: Item[], object: string): DescribedDisk[] {
  const files = new Map(all(one(envelope, 'References'), 'File').map((file) => [file.attributes.id, file]));
  const section = one(envelope, 'DiskSection');
  const attached = items.filter((item) => item.type === resource.disk);
  const order = new Map(items.map((item, index) => [item.id, index]));
  const place = (item: Item) => [order.get(item.parent ?? '') ?? 0, item.address ?? 0] as const;
  attached.sort((a, b) => place(a)[0] - place(b)[0] || place(a)[1] - place(b)[1]);

  return attached.map((item) => {
    const reference = item.hosts
      .map((host) => /^(?:ovf:)?\/+disk\/(.+)$/.exec(host)?.[1])
      .find((id) => id !== undefined);
    const disk = all(section, 'Disk').find((candidate) => candidate.attributes.diskId === reference);
    const id = reference ?? item.id;
    if (disk === undefined) {
      throw new GodwitError('DISK_CORRUPT', object, { format: 'OVF', reason: `disk ${id} is not in its disk section` });
    }
    if (disk.attributes.parentRef !== undefined) {
      throw new GodwitError('UNSUPPORTED', object, { what: `disk ${id}, which needs a parent disk` });
    }
    const ref = disk.attributes.fileRef;
    const file = ref === undefined ? undefined : files.get(ref);
    if (ref !== undefined && file === undefined) {
      throw new GodwitError('DISK_CORRUPT', object, { format: 'OVF', reason: `file ${ref} is not in its references` });
    }
    if (file?.attributes.chunkSize !== undefined) {
      throw new GodwitError('UNSUPPORTED', object, { what: `disk ${id}, whose file is cut into chunks` });
    }
    const compression = file?.attributes.compression ?? 'identity';
    if (!['identity', 'gzip', ''].includes(compression)) {
      throw new GodwitError('UNSUPPORTED', object, { what: `${compression} compression of disk ${id}` });
    }
    const capacity = Number(disk.attributes.capacity) * unitOf(disk.attributes.capacityAllocationUnits ?? null, 1);
    const href = file?.attributes.href;
    if (href === undefined && !Number.isSafeInteger(capacity)) {
      throw new GodwitError('DISK_CORRUPT', object, { format: 'OVF', reason: `disk ${id} has neither file nor size` });
    }
    return {
      id,
      file: href ?? null,
      format: formatOf(disk.attributes.format, href),
      capacity: Number.isSafeInteger(capacity) ? capacity : null,
      gzip: compression === 'gzip',
      device: {
        unit_number: item.address,
        controller_id: item.parent,
        bus: bus.get(items.find((parent) => parent.id === item.parent)?.type ?? 0) ?? null,
      },
    };
  });
}

/** The format a disk's URI names; only where it is beyond doubt. */
function formatOf(uri: string | undefined, href: string | undefined): ImageFormat | null {
  if (uri !== undefined && /vmdk/i.test(uri) && !/\.(qcow2|vhdx?|raw)$/i.test(href ?? '')) return 'vmdk';
  if (uri !== undefined && /qcow/i.test(uri)) return 'qcow2';
  return null;
}

const powers: Readonly<Record<string, number>> = {
  byte: 1,
  kilobyte: 1024,
  kilobytes: 1024,
  megabyte: 1_048_576,
  megabytes: 1_048_576,
  gigabyte: 1_073_741_824,
  gigabytes: 1_073_741_824,
};

/** `byte * 2^20`, `MegaBytes`, `byte * 10^9`: bytes of one unit. */
function unitOf(text: string | null, fallback: number): number {
  if (text === null) return fallback;
  const plain = powers[text.trim().toLowerCase()];
  if (plain !== undefined) return plain;
  const match = /^\s*byte\s*\*\s*(\d+)(?:\s*\^\s*(\d+))?\s*$/i.exec(text);
  if (match === null) return fallback;
  const value = match[2] === undefined ? Number(match[1]) : Number(match[1]) ** Number(match[2]);
  return Number.isSafeInteger(value) && value > 0 ? value : fallback;
}
