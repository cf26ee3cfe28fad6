import { choice } from '@godwit/provider';
import { Type } from 'typebox';

export const sourceEnvironmentSchema = Type.Object(
  {
    quiesce: Type.Optional(
      choice(['auto', 'never', 'always'], {
        title: 'Freeze file systems',
        default: 'auto',
        description:
          'Ask the guest agent to freeze the file systems for the moment of the snapshot. auto: when an agent answers; always: refuse the run without one',
      }),
    ),
    scratch_folder: Type.Optional(
      Type.String({
        title: 'Scratch folder',
        minLength: 1,
        pattern: '^/',
        description:
          'Folder on the host that QEMU can write to; while a copy runs it takes the old content of what the guest overwrites. Absent: beside each disk',
      }),
    ),
    socket_folder: Type.Optional(
      Type.String({
        title: 'Socket folder',
        minLength: 1,
        maxLength: 60,
        pattern: '^/',
        default: '/var/tmp',
        description: 'Folder on the host that QEMU can make sockets in',
      }),
    ),
    nbd: Type.Optional(
      choice(['auto', 'unix', 'tcp'], {
        title: 'Disk traffic',
        default: 'auto',
        description:
          'How the running instance hands its disks out. unix: a socket (same machine, or forwarded by ssh); tcp: a port of the host; auto: unix where possible',
      }),
    ),
    nbd_port: Type.Optional(
      Type.Integer({
        title: 'First NBD port',
        minimum: 1024,
        maximum: 65_000,
        default: 10_809,
        description: 'With tcp: the first of 64 ports tried',
      }),
    ),
  },
  { additionalProperties: false },
);

export const diskFormats = ['qcow2', 'raw'] as const;
export type DiskFormat = (typeof diskFormats)[number];

export const destinationEnvironmentSchema = Type.Object(
  {
    storage: Type.Optional(
      Type.String({
        title: 'Storage',
        minLength: 1,
        description: 'Storage pool of the host (type dir), or a folder as an absolute path. Absent: the pool "default"',
      }),
    ),
    network: Type.Optional(
      Type.String({
        title: 'Network',
        minLength: 1,
        description: 'For NICs that the network map does not name: a libvirt network, or "none" for no NIC',
      }),
    ),
    disk_format: Type.Optional(
      choice(diskFormats, {
        title: 'Disk format',
        default: 'qcow2',
        description:
          'qcow2: snapshots and tests cost nothing; raw: they copy the disk where the file system cannot share blocks',
      }),
    ),
    disk_bus: Type.Optional(
      choice(['keep', 'virtio', 'scsi', 'sata', 'ide'], {
        title: 'Disk bus',
        default: 'keep',
        description: 'keep: the bus of the source, where the guest has its drivers',
      }),
    ),
    nic_model: Type.Optional(
      choice(['keep', 'virtio', 'e1000', 'e1000e', 'rtl8139'], {
        title: 'NIC model',
        default: 'keep',
        description: 'keep: the model of the source',
      }),
    ),
    virtualization: Type.Optional(
      choice(['auto', 'kvm', 'emulation'], {
        title: 'Virtualization',
        default: 'auto',
        description: 'auto: KVM where the host offers it, else emulation, which is slow',
      }),
    ),
    console_folder: Type.Optional(
      Type.String({
        title: 'Console folder',
        minLength: 1,
        pattern: '^/',
        description:
          'Folder on the host; the serial console of the instance is written to NAME.log in it. Absent: nowhere',
      }),
    ),
    name_suffix: Type.Optional(
      Type.String({
        title: 'Name suffix',
        maxLength: 40,
        pattern: '^[A-Za-z0-9._-]*$',
        description: 'Put behind the name of the deployed instance',
      }),
    ),
  },
  { additionalProperties: false },
);
