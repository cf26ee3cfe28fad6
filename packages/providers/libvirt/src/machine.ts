import { GodwitError, type InstanceInfo } from '@godwit/domain';
import { all, one, printXml, textOf, type XmlText, xml } from '@godwit/provider/xml';
import type { Host } from './connection.ts';
import { parseDomain } from './domain-xml.ts';
import type { DiskFormat } from './environment.ts';
import { DOMAIN_XML } from './inventory.ts';
import { INSTANCE_MARK } from './mark.ts';
import type { DestinationEnvironment, PlacedNic } from './placement.ts';
import { readXml } from './xml.ts';

/** A disk of the machine to build. */
export interface MachineDisk {
  id: string;
  path: string;
  format: DiskFormat;
}

/** What a domain is built from. */
export interface Machine {
  name: string;
  uuid: string;
  instance: InstanceInfo;
  disks: MachineDisk[];
  nics: PlacedNic[];
  environment: DestinationEnvironment;
  mark: { transfer: string; key: string; test: boolean };
  /** File with the firmware's variables; null: the firmware starts with its defaults. */
  nvram: string | null;
}

/** What the host can run, of the architecture asked for. */
export interface HostAbility {
  emulator: string | null;
  /** Names of machine types, canonical and short. */
  machines: ReadonlySet<string>;
  kvm: boolean;
}

/** @throws GodwitError UNSUPPORTED when the host runs no machines of that architecture */
export async function hostAbility(host: Host, arch: string): Promise<HostAbility> {
  const root = readXml(await host.virsh.run(host.ctx.endpoint, 'capabilities'), host.ctx.endpoint);
  const offer = all(root, 'guest')
    .filter((guest) => textOf(guest, 'os_type') === 'hvm')
    .map((guest) => one(guest, 'arch'))
    .find((element) => element?.attributes.name === arch);
  if (offer === undefined)
    throw new GodwitError('UNSUPPORTED', host.ctx.endpoint, { what: `machines of type ${arch}` });
  return {
    emulator: textOf(offer, 'emulator'),
    machines: new Set(all(offer, 'machine').map(({ text }) => text)),
    kvm: all(offer, 'domain').some(({ attributes }) => attributes.type === 'kvm'),
  };
}

/** Architecture of the instance, from its own domain XML; x86_64 from elsewhere. */
export function archOf(instance: InstanceInfo): string {
  const text = instance.artefacts?.[DOMAIN_XML];
  if (text === undefined) return 'x86_64';
  return one(parseDomain(text, `instance ${instance.name}`).root, 'os', 'type')?.attributes.arch ?? 'x86_64';
}

/** The machine type of the source when the host has it, else the nearest kind. */
export function machineType(instance: InstanceInfo, ability: HostAbility): string {
  const wanted = instance.machine_type ?? '';
  if (ability.machines.has(wanted)) return wanted;
  if (/i440fx|^pc$/.test(wanted) && ability.machines.has('pc')) return 'pc';
  // Only the old chipset has an IDE bus.
  const ide =
    wanted === '' && instance.firmware_type === 'BIOS' && instance.devices.disks.some(({ bus }) => bus === 'ide');
  if (ide && ability.machines.has('pc')) return 'pc';
  for (const name of ['q35', 'virt', 'pc']) if (ability.machines.has(name)) return name;
  return [...ability.machines][0] ?? 'none';
}

const busPrefix: Readonly<Record<string, string>> = { virtio: 'vd', scsi: 'sd', sata: 'sd', ide: 'hd', usb: 'sd' };

/** Bus of a disk at the target: the source's, where the machine type has it. */
export function diskBus(
  wish: DestinationEnvironment['disk_bus'],
  source: string | null | undefined,
  machine: string,
): string {
  const bus = wish === undefined || wish === 'keep' ? (source ?? 'virtio') : wish;
  if (bus === 'ide' && !/i440fx|^pc/.test(machine.replace('pc-q35', 'q35'))) return 'sata';
  return busPrefix[bus] === undefined || bus === 'usb' ? 'virtio' : bus;
}

/** Domain XML of the machine. */
export function machineXml(machine: Machine, ability: HostAbility, type: 'kvm' | 'qemu'): string {
  const { instance, environment, mark } = machine;
  const chosen = machineType(instance, ability);
  const efi = instance.firmware_type === 'EFI';
  const disks = machine.disks.map((disk) => {
    const source = instance.devices.disks.find(({ id }) => id === disk.id);
    return { ...disk, bus: diskBus(environment.disk_bus, source?.bus, chosen) };
  });
  const names = targetNames(disks);
  return xml('domain', { type }, [
    xml('name', {}, [machine.name]),
    xml('uuid', {}, [machine.uuid]),
    xml('metadata', {}, [
      xml('godwit:instance', {
        'xmlns:godwit': INSTANCE_MARK,
        transfer: mark.transfer,
        key: mark.key,
        test: mark.test ? 'yes' : 'no',
      }),
    ]),
    xml('memory', { unit: 'MiB' }, [instance.memory_mb]),
    xml('vcpu', {}, [instance.num_cpu]),
    xml('os', { firmware: efi ? 'efi' : undefined }, [
      xml('type', { arch: archOf(instance), machine: chosen }, ['hvm']),
      efi
        ? xml('firmware', {}, [
            xml('feature', { enabled: instance.secure_boot ? 'yes' : 'no', name: 'secure-boot' }),
            instance.secure_boot ? xml('feature', { enabled: 'yes', name: 'enrolled-keys' }) : null,
          ])
        : null,
      efi && instance.secure_boot ? xml('loader', { secure: 'yes' }) : null,
      efi && machine.nvram !== null ? xml('nvram', {}, [machine.nvram]) : null,
    ]),
    xml('features', {}, [xml('acpi'), xml('apic'), efi && instance.secure_boot ? xml('smm', { state: 'on' }) : null]),
    xml('cpu', { mode: type === 'kvm' ? 'host-model' : 'maximum' }, [topology(instance)]),
    xml('clock', { offset: instance.os_type === 'windows' ? 'localtime' : 'utc' }),
    xml('devices', {}, [
      ability.emulator === null ? null : xml('emulator', {}, [ability.emulator]),
      ...disks.map((disk, index) =>
        xml('disk', { type: 'file', device: 'disk' }, [
          xml('driver', { name: 'qemu', type: disk.format, discard: 'unmap' }),
          xml('source', { file: disk.path }),
          xml('target', { dev: names[index], bus: disk.bus }),
          bootOrder(machine, disk.id, index),
        ]),
      ),
      disks.some(({ bus }) => bus === 'scsi')
        ? xml('controller', { type: 'scsi', index: 0, model: 'virtio-scsi' })
        : null,
      ...machine.nics.map((placed) => nicXml(placed, machine)),
      xml('serial', { type: 'pty' }, [
        environment.console_folder === undefined
          ? null
          : xml('log', { file: `${environment.console_folder}/${machine.name}.log`, append: 'on' }),
      ]),
      xml('channel', { type: 'unix' }, [xml('target', { type: 'virtio', name: 'org.qemu.guest_agent.0' })]),
      xml('input', { type: 'tablet', bus: 'usb' }),
      xml('graphics', { type: 'vnc', autoport: 'yes', listen: '127.0.0.1' }),
      xml('video', {}, [xml('model', { type: 'vga' })]),
      xml('rng', { model: 'virtio' }, [xml('backend', { model: 'random' }, ['/dev/urandom'])]),
    ]),
  ]).xml;
}

/** The sockets, cores and threads of the source, where they make up its CPUs. */
function topology(instance: InstanceInfo): XmlText | null {
  const text = instance.artefacts?.[DOMAIN_XML];
  if (text === undefined) return null;
  const element = one(parseDomain(text, `instance ${instance.name}`).root, 'cpu', 'topology');
  if (element === undefined) return null;
  const { sockets, dies = '1', cores, threads } = element.attributes;
  const product = Number(sockets) * Number(dies) * Number(cores) * Number(threads);
  return product === instance.num_cpu ? printXml(element) : null;
}

/** `vda`, `sdb`, ...: the source's own names where they fit the bus, else the next free ones. */
function targetNames(disks: readonly { id: string; bus: string }[]): string[] {
  const prefixes = disks.map(({ bus }) => busPrefix[bus] ?? 'vd');
  const fits = disks.every(({ id }, index) => new RegExp(`^${prefixes[index]}[a-z]{1,2}$`).test(id));
  if (fits && new Set(disks.map(({ id }) => id)).size === disks.length) return disks.map(({ id }) => id);
  const next = new Map<string, number>();
  return prefixes.map((prefix) => {
    const number = next.get(prefix) ?? 0;
    next.set(prefix, number + 1);
    return prefix + letters(number);
  });
}

/** a, b, ... z, aa, ab, ... */
function letters(number: number): string {
  const last = String.fromCharCode(97 + (number % 26));
  return number < 26 ? last : letters(Math.floor(number / 26) - 1) + last;
}

function bootOrder(machine: Machine, id: string, index: number): XmlText | null {
  const order = machine.instance.boot_order;
  if (order.length === 0) return index === 0 ? xml('boot', { order: 1 }) : null;
  const at = order.indexOf(id);
  return at < 0 ? null : xml('boot', { order: at + 1 });
}

const nicModels = new Set(['virtio', 'e1000', 'e1000e', 'rtl8139', 'vmxnet3']);

function nicXml({ nic, network }: PlacedNic, machine: Machine): XmlText {
  const wish = machine.environment.nic_model;
  const model = wish === undefined || wish === 'keep' ? (nic.model ?? 'virtio') : wish;
  const at = machine.instance.boot_order.indexOf(nic.id);
  return xml('interface', { type: network === 'user' ? 'user' : 'network' }, [
    nic.mac_address === null ? null : xml('mac', { address: nic.mac_address }),
    network === 'user' ? null : xml('source', { network }),
    xml('model', { type: nicModels.has(model) ? model : 'virtio' }),
    at < 0 ? null : xml('boot', { order: at + 1 }),
  ]);
}
