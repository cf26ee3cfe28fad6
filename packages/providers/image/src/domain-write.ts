import { type XmlText, xml } from '@godwit/provider/xml';
import type { Machine, MachineDisk } from './machine.ts';

const buses = new Set(['virtio', 'scsi', 'sata', 'ide', 'usb']);

/**
 * A libvirt domain XML of a machine; files are absolute so that `virsh define` takes it.
 *
 * @param folder absolute, of the disks
 */
export function writeDomain(machine: Machine, folder: string): string {
  const { info } = machine;
  const efi = info.firmware_type === 'EFI';
  const names = targetNames(machine.disks);
  const order = new Map(info.boot_order.map((id, index) => [id, index + 1]));
  const document = xml('domain', { type: 'kvm' }, [
    xml('name', {}, [machine.name]),
    xml('memory', { unit: 'MiB' }, [info.memory_mb]),
    xml('vcpu', {}, [info.num_cpu]),
    xml('os', efi ? { firmware: 'efi' } : {}, [
      xml('type', { arch: 'x86_64', machine: efi ? 'q35' : (info.machine_type ?? undefined) }, ['hvm']),
      efi ? xml('loader', { secure: info.secure_boot ? 'yes' : 'no' }) : null,
    ]),
    xml('features', {}, [xml('acpi'), xml('apic'), info.secure_boot ? xml('smm', { state: 'on' }) : null]),
    xml('clock', { offset: info.os_type === 'windows' ? 'localtime' : 'utc' }),
    xml('devices', {}, [
      ...machine.disks.map((disk, index) =>
        diskOf(disk, `${folder}/${disk.file}`, names[index] ?? '', order.get(disk.id)),
      ),
      ...machine.nics.map((nic) =>
        xml('interface', { type: 'network' }, [
          nic.mac === null ? null : xml('mac', { address: nic.mac }),
          xml('source', { network: nic.network }),
          xml('model', { type: nic.model }),
          machine.test ? xml('link', { state: 'down' }) : null,
        ]),
      ),
      xml('serial', { type: 'pty' }),
      xml('console', { type: 'pty' }),
      xml('graphics', { type: 'vnc', port: '-1', autoport: 'yes', listen: '127.0.0.1' }),
      xml('video', {}, [xml('model', { type: 'vga' })]),
    ]),
  ]);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${document.xml}\n`;
}

function diskOf(disk: MachineDisk, file: string, target: string, order: number | undefined): XmlText {
  return xml('disk', { type: 'file', device: 'disk' }, [
    xml('driver', { name: 'qemu', type: disk.format, discard: 'unmap' }),
    xml('source', { file }),
    xml('target', { dev: target, bus: busOf(disk) }),
    order === undefined ? null : xml('boot', { order }),
  ]);
}

function busOf(disk: MachineDisk): string {
  return buses.has(disk.bus) ? disk.bus : 'virtio';
}

/** The source's own names where they fit the bus and are free, else the next free one: `vda`, `sdb`, `hdc`. */
function targetNames(disks: readonly MachineDisk[]): string[] {
  const used = new Set<string>();
  const prefixes = new Map([
    ['virtio', 'vd'],
    ['ide', 'hd'],
  ]);
  return disks.map((disk) => {
    const prefix = prefixes.get(busOf(disk)) ?? 'sd';
    let name = disk.id;
    if (!/^[a-z]{3,4}$/.test(name) || !name.startsWith(prefix)) name = '';
    for (let index = 0; name === '' || used.has(name); index++) name = `${prefix}${letters(index)}`;
    used.add(name);
    return name;
  });
}

/** 0: a, 25: z, 26: aa. */
function letters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : `${letters(Math.floor(index / 26) - 1)}${last}`;
}
