import { type XmlText, xml } from '@godwit/provider/xml';
import type { Machine, MachineDisk } from './machine.ts';

const namespaces = {
  xmlns: 'http://schemas.dmtf.org/ovf/envelope/1',
  'xmlns:ovf': 'http://schemas.dmtf.org/ovf/envelope/1',
  'xmlns:rasd': 'http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData',
  'xmlns:vssd': 'http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData',
  'xmlns:vmw': 'http://www.vmware.com/schema/ovf',
};
/** OVF knows no URI for either; these are the ones that virt-v2v and oVirt write. */
const formats = {
  raw: 'http://en.wikipedia.org/wiki/Byte',
  qcow2: 'http://www.gnome.org/~markmc/qcow-image-format.html',
};
const controllers = [
  { bus: 'ide', resource: 5, name: 'IDE Controller' },
  { bus: 'scsi', resource: 6, name: 'SCSI Controller' },
  { bus: 'sata', resource: 20, name: 'SATA Controller' },
];

/** An OVF 1.1 descriptor of a machine; its files lie beside it. */
export function writeOvf(machine: Machine, sizes: ReadonlyMap<string, number>): string {
  const { info } = machine;
  const hardware: XmlText[] = [
    xml('System', {}, [
      xml('vssd:ElementName', {}, ['Virtual Hardware Family']),
      xml('vssd:InstanceID', {}, [0]),
      xml('vssd:VirtualSystemIdentifier', {}, [machine.name]),
      xml('vssd:VirtualSystemType', {}, ['vmx-13']),
    ]),
    item(3, 1, `${info.num_cpu} virtual CPU(s)`, { VirtualQuantity: info.num_cpu, AllocationUnits: 'hertz * 10^6' }),
    item(4, 2, `${info.memory_mb} MB of memory`, { VirtualQuantity: info.memory_mb, AllocationUnits: 'byte * 2^20' }),
  ];
  const used = controllers.filter(({ bus }) => machine.disks.some((disk) => controllerOf(disk) === bus));
  used.forEach(({ resource, name, bus }) => {
    hardware.push(item(resource, controllerId(bus), name, { Address: 0 }));
  });
  machine.disks.forEach((disk, index) => {
    const values = {
      HostResource: `ovf:/disk/${disk.id}`,
      Parent: controllerId(controllerOf(disk)),
      AddressOnParent: index,
    };
    hardware.push(item(17, 100 + index, disk.id, values));
  });
  machine.nics.forEach((nic, index) => {
    const values = {
      AddressOnParent: index,
      Address: nic.mac ?? undefined,
      AutomaticAllocation: machine.test ? 'false' : 'true',
      Connection: nic.network,
      ResourceSubType: nic.model,
    };
    hardware.push(item(10, 200 + index, `Network adapter ${index + 1}`, values));
  });
  if (info.firmware_type === 'EFI') {
    hardware.push(xml('vmw:Config', { 'ovf:required': 'false', 'vmw:key': 'firmware', 'vmw:value': 'efi' }));
    const secure = { 'vmw:key': 'bootOptions.efiSecureBootEnabled', 'vmw:value': String(info.secure_boot) };
    hardware.push(xml('vmw:Config', { 'ovf:required': 'false', ...secure }));
  }
  const networks = [...new Set(machine.nics.map((nic) => nic.network))];
  const document = xml('Envelope', namespaces, [
    xml(
      'References',
      {},
      machine.disks.map((disk, index) =>
        xml('File', {
          'ovf:id': `file${index}`,
          'ovf:href': encodeURIComponent(disk.file),
          'ovf:size': sizes.get(disk.file),
        }),
      ),
    ),
    xml('DiskSection', {}, [
      xml('Info', {}, ['Virtual disks']),
      ...machine.disks.map((disk, index) =>
        xml('Disk', {
          'ovf:diskId': disk.id,
          'ovf:fileRef': `file${index}`,
          'ovf:capacity': disk.size,
          'ovf:capacityAllocationUnits': 'byte',
          'ovf:format': formats[disk.format],
        }),
      ),
    ]),
    xml('NetworkSection', {}, [
      xml('Info', {}, ['Networks']),
      ...networks.map((name) => xml('Network', { 'ovf:name': name }, [xml('Description', {}, [name])])),
    ]),
    xml('VirtualSystem', { 'ovf:id': machine.name }, [
      xml('Info', {}, ['A virtual machine']),
      xml('Name', {}, [machine.name]),
      xml('OperatingSystemSection', { 'ovf:id': osNumber(info.os_type) }, [
        xml('Info', {}, ['Guest operating system']),
        xml('Description', {}, [info.os_type]),
      ]),
      xml('VirtualHardwareSection', {}, [xml('Info', {}, ['Virtual hardware']), ...hardware]),
    ]),
  ]);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${document.xml}\n`;
}

/** The schema wants the fields in the order of their names. */
function item(
  resource: number,
  id: number,
  name: string,
  values: Readonly<Record<string, string | number | undefined>>,
): XmlText {
  const all = { ...values, ElementName: name, InstanceID: id, ResourceType: resource };
  const fields = Object.entries(all).filter(([, value]) => value !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return xml(
    'Item',
    {},
    fields.map(([key, value]) => xml(`rasd:${key}`, {}, [value ?? ''])),
  );
}

function controllerOf(disk: MachineDisk): string {
  return disk.bus === 'ide' || disk.bus === 'sata' ? disk.bus : 'scsi';
}

function controllerId(bus: string): number {
  return 10 + controllers.findIndex((controller) => controller.bus === bus);
}

/** CIM numbers: 101 Linux 64-bit, 103 Windows Server 2008 64-bit, 78 FreeBSD 64-bit, 2 MacOS, 29 Solaris, 1 other. */
function osNumber(type: Machine['info']['os_type']): number {
  const numbers = { linux: 101, windows: 103, bsd: 78, osx: 2, solaris: 29, other: 1, unknown: 0 };
  return numbers[type];
}
