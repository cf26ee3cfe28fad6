import { GodwitError, type InstanceInfo } from '@godwit/domain';
import { all, one, textOf, xml } from '@godwit/provider/xml';
import { describe, expect, test } from 'vitest';
import { parseUri } from '../src/connection.ts';
import { bootOrderOf, firmwareOf, nicsOf, osTypeOf, parseDomain } from '../src/domain-xml.ts';
import { diskBus, machineType, machineXml } from '../src/machine.ts';
import { isOurs, uuidOf } from '../src/mark.ts';
import { replicaHandle, replicaName, replicaOf } from '../src/replica.ts';
import { complaint, virshError } from '../src/virsh.ts';
import { readXml } from '../src/xml.ts';

describe('connection URIs', () => {
  test.each([
    ['qemu:///system', { transport: 'unix', session: false, socket: null }],
    ['qemu:///session', { transport: 'unix', session: true }],
    ['qemu+unix:///system?socket=/run/x', { transport: 'unix', socket: '/run/x' }],
    [
      'qemu+ssh://root@kvm1.example.com:2222/system',
      { transport: 'ssh', host: 'kvm1.example.com', port: 2222, user: 'root' },
    ],
    ['qemu+tcp://10.0.0.1/system', { transport: 'tcp', host: '10.0.0.1', port: null }],
    ['qemu://kvm1/system', { transport: 'tls', host: 'kvm1' }],
    ['qemu+tcp://[2001:db8::1]:16509/system', { transport: 'tcp', host: '2001:db8::1', port: 16509 }],
  ])('%s is understood', (uri, expected) => {
    expect(parseUri(uri, 'endpoint lab')).toMatchObject(expected);
  });

  test.each([
    'xen:///system',
    'qemu+ext://host/system?command=/bin/evil',
    'qemu+ssh://host/system?command=/bin/evil',
    'qemu+ssh://host/system?netcat=/bin/evil',
    'qemu+ssh://-oProxyCommand=evil/system',
    'qemu+ssh://-evil@host/system',
    'qemu+ssh://root:secret@host/system',
    'qemu+tcp://user@host/system',
    'qemu+unix://host/system',
    'qemu+tcp:///system',
    'qemu:///system\n',
    '',
  ])('%j is refused', (uri) => {
    expect(() => parseUri(uri, 'endpoint lab')).toThrow(GodwitError);
  });
});

describe('names and marks', () => {
  test('only names that Godwit makes are ours', () => {
    expect(isOurs('godwit-gw-12ab')).toBe(true);
    for (const name of ['backup', 'godwit-', 'godwit-A', 'godwit-a/b', `godwit-${'a'.repeat(41)}`]) {
      expect(isOurs(name)).toBe(false);
    }
  });

  test('a UUID made from the same text is the same, and well-formed', () => {
    expect(uuidOf('a')).toBe(uuidOf('a'));
    expect(uuidOf('a')).not.toBe(uuidOf('b'));
    expect(uuidOf('a')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('a replica disk is known by its name; any other file is refused', () => {
    const path = `/images/${replicaName('key-1', 'vda', 'qcow2')}`;
    expect(replicaOf('vda', replicaHandle(path, 'qcow2', 'key-1')).path).toBe(path);
    for (const [file, key] of [
      ['/images/web01.qcow2', 'key-1'],
      [path, 'key-2'],
      ['/images/../etc/godwit-key-1-vda.qcow2', 'key-1'],
      ['/images/godwit-key-1-vda.qcow2.lock', 'key-1'],
    ] as const) {
      expect(() => replicaOf('vda', replicaHandle(file, 'qcow2', key))).toThrow(/did not make/);
    }
  });
});

describe('XML', () => {
  test('what is written is read back, whatever the text', () => {
    const name = `a<b>&"c"'d' é`;
    const root = readXml(xml('domain', { id: name }, [xml('name', {}, [name])]).xml, 'x');
    expect(root.attributes.id).toBe(name);
    expect(textOf(root, 'name')).toBe(name);
  });

  test('a document type is refused: its entities could name files', () => {
    const bomb = '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><domain>&e;</domain>';
    expect(() => readXml(bomb, 'x')).toThrow(/document type/);
  });
});

const domainText = `<domain type='kvm'>
  <name>web</name><uuid>6d1f5c2e-0b5a-4d0e-9c55-0000000000a1</uuid>
  <metadata><libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>
    <libosinfo:os id='http://microsoft.com/win/2k22'/></libosinfo:libosinfo></metadata>
  <memory unit='GiB'>2</memory><vcpu>4</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-6.2'>hvm</type>
    <firmware><feature enabled='yes' name='secure-boot'/></firmware>
    <nvram>/var/lib/libvirt/qemu/nvram/web_VARS.fd</nvram></os>
  <cpu mode='host-model'><topology sockets='1' dies='1' cores='2' threads='2'/></cpu>
  <devices>
    <disk type='file' device='cdrom'><target dev='sdz' bus='sata'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i/a.qcow2'/>
      <target dev='sda' bus='scsi'/><boot order='2'/><address type='drive' controller='0' bus='0' target='0' unit='3'/></disk>
    <disk type='block' device='disk'><source dev='/dev/vg/b'/><target dev='sdb' bus='scsi'/><shareable/></disk>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='virtio'/><boot order='1'/></interface>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>
  </devices></domain>`;

describe('domain descriptions', () => {
  const domain = parseDomain(domainText, 'web');

  test('disks, NICs, firmware, boot order and agent are read', () => {
    expect(domain.disks).toMatchObject([
      { id: 'sda', format: 'qcow2', path: '/i/a.qcow2', bus: 'scsi', unit: 3, shareable: false },
      { id: 'sdb', format: 'raw', path: '/dev/vg/b', type: 'block', shareable: true },
    ]);
    expect(nicsOf(domain)).toMatchObject([{ id: 'net0', network_name: 'br0', mac_address: '52:54:00:00:00:01' }]);
    expect(firmwareOf(domain)).toEqual({
      efi: true,
      secureBoot: true,
      nvram: '/var/lib/libvirt/qemu/nvram/web_VARS.fd',
    });
    expect(bootOrderOf(domain)).toEqual(['net0', 'sda']);
    expect(osTypeOf(domain)).toBe('windows');
    expect(domain.agent).toBe(true);
  });
});

describe('machines built at the target', () => {
  const ability = {
    emulator: '/usr/bin/qemu-system-x86_64',
    machines: new Set(['pc', 'q35', 'pc-q35-7.2']),
    kvm: true,
  };
  const instance: InstanceInfo = {
    id: 'x',
    name: 'web & co',
    num_cpu: 4,
    memory_mb: 2048,
    os_type: 'windows',
    firmware_type: 'EFI',
    running: false,
    secure_boot: false,
    nested_virtualization: false,
    dynamic_memory_enabled: false,
    hostname: null,
    machine_type: 'pc-q35-6.2',
    boot_order: ['net0', 'sda'],
    devices: {
      disks: [
        { id: 'sda', size_bytes: 1, format: 'qcow2', bus: 'scsi' },
        { id: 'sdb', size_bytes: 1, format: 'raw', bus: 'scsi' },
      ],
      nics: [{ id: 'net0', network_name: 'br0', mac_address: '52:54:00:00:00:01', model: 'e1000e' }],
      cdroms: [],
      serial_ports: [],
      floppies: [],
      controllers: [],
    },
    artefacts: { 'application/x-libvirt-domain+xml': domainText },
  };

  test('an unknown machine type becomes the nearest kind that the host has', () => {
    expect(machineType({ ...instance, machine_type: 'pc-q35-7.2' }, ability)).toBe('pc-q35-7.2');
    expect(machineType(instance, ability)).toBe('q35');
    expect(machineType({ ...instance, machine_type: 'pc-i440fx-9.9' }, ability)).toBe('pc');
    expect(machineType({ ...instance, machine_type: null }, ability)).toBe('q35');
  });

  test('a bus that the machine type does not have is replaced', () => {
    expect(diskBus('keep', 'ide', 'q35')).toBe('sata');
    expect(diskBus('keep', 'ide', 'pc-i440fx-7.2')).toBe('ide');
    expect(diskBus('keep', 'nvme', 'q35')).toBe('virtio');
    expect(diskBus('sata', 'virtio', 'q35')).toBe('sata');
  });

  test('the description carries what the guest sees and the mark of its transfer', () => {
    const machine = {
      name: instance.name,
      uuid: uuidOf('x'),
      instance,
      disks: [
        { id: 'sda', path: '/t/a.qcow2', format: 'qcow2' as const },
        { id: 'sdb', path: '/t/b.raw', format: 'raw' as const },
      ],
      nics: [{ nic: instance.devices.nics[0]!, network: 'lan' }],
      environment: {},
      mark: { transfer: 'tr', key: 'k', test: true },
      nvram: '/t/vars.fd',
    };
    const domain = parseDomain(machineXml(machine, ability, 'kvm'), 'x');
    expect(domain).toMatchObject({ name: 'web & co', type: 'kvm' });
    expect(bootOrderOf(domain)).toEqual(['net0', 'sda']);
    expect(domain.disks).toMatchObject([
      { id: 'sda', path: '/t/a.qcow2', format: 'qcow2', bus: 'scsi' },
      { id: 'sdb', path: '/t/b.raw', format: 'raw', bus: 'scsi' },
    ]);
    expect(firmwareOf(domain)).toEqual({ efi: true, secureBoot: false, nvram: '/t/vars.fd' });
    expect(one(domain.root, 'cpu', 'topology')?.attributes).toMatchObject({ cores: '2', threads: '2' });
    expect(one(domain.root, 'clock')?.attributes.offset).toBe('localtime');
    expect(one(domain.root, 'metadata', 'godwit:instance')?.attributes).toMatchObject({
      transfer: 'tr',
      key: 'k',
      test: 'yes',
    });
    expect(all(one(domain.root, 'devices'), 'controller').map(({ attributes }) => attributes.model)).toEqual([
      'virtio-scsi',
    ]);
  });
});

describe('complaints of virsh', () => {
  test.each([
    [
      "error: failed to connect to the hypervisor\nerror: unable to connect to server at 'h:16509': Connection refused",
      'CONNECTION_FAILED',
    ],
    [
      'error: failed to connect to the hypervisor\nerror: authentication failed: authentication failed',
      'AUTHENTICATION_FAILED',
    ],
    [
      'error: failed to connect to the hypervisor\nerror: Cannot recv data: root@h: Permission denied (publickey).: Connection reset by peer',
      'AUTHENTICATION_FAILED',
    ],
    ["error: failed to get domain 'x'", 'NOT_FOUND'],
    ['error: Timed out during operation: cannot acquire state change lock (held by monitor=x)', 'CONFLICT'],
    ['error: internal error: something else', 'PLATFORM_ERROR'],
  ])('%j is %s', (stderr, code) => {
    expect(virshError(stderr, 'instance x', 'endpoint lab').code).toBe(code);
  });

  test('the reason is the telling line, not the general one', () => {
    expect(complaint("error: Failed to start domain 'x'\nerror: internal error: no memory")).toBe(
      'internal error: no memory',
    );
  });
});
