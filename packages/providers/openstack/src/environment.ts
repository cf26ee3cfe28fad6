import { choice } from '@godwit/provider';
import { type Static, Type } from 'typebox';

const name = (title: string, description: string) => Type.Optional(Type.String({ title, minLength: 1, description }));

/** Fields of both environments: how the machine is made that reads or writes volumes. Names or ids throughout. */
const minionFields = {
  data_path: Type.Optional(
    choice(['auto', 'minion', 'glance'], {
      title: 'Way of the bytes',
      default: 'auto',
      description:
        'minion: a small machine in the cloud that the volumes are attached to; glance: whole images, slower and always all bytes; auto: minion where an image, a flavor and a network for it are known',
    }),
  ),
  minion_image: name('Minion image', 'A Linux image that runs cloud-init or user data scripts and an SSH server'),
  minion_flavor: name('Minion flavor', '256 MiB of memory or more. Absent: the smallest that fits'),
  minion_network: name('Minion network', 'A network of the project. Absent: the only one'),
  minion_floating_network: name(
    'Minion floating network',
    'External network; the minion gets a floating IP of it. Absent: the worker reaches it by its fixed address',
  ),
  minion_user: Type.Optional(
    Type.String({
      title: 'Minion user',
      minLength: 1,
      maxLength: 32,
      pattern: '^[a-z_][a-z0-9_-]*$',
      default: 'debian',
      description: 'Login of the image; root, or may use sudo without a password',
    }),
  ),
  minion_config_drive: Type.Optional(
    Type.Boolean({
      title: 'Minion config drive',
      default: false,
      description: 'Key and user data by a config drive, where the cloud has no metadata service',
    }),
  ),
  minion_allowed_cidr: Type.Optional(
    Type.String({
      title: 'Minion allowed addresses',
      pattern: '^[0-9a-fA-F.:]+/\\d+$',
      default: '0.0.0.0/0',
      description: 'Where SSH to the minion may come from: the address of the worker as the cloud sees it',
    }),
  ),
  minion_availability_zone: name('Minion availability zone', 'Absent: the cloud chooses'),
  minion_host_key: Type.Optional(
    choice(['console', 'first_contact'], {
      title: 'Minion host key',
      default: 'console',
      description:
        'console: the minion says its host keys on its console, and only these are accepted; first_contact: the key of the first connection is believed, for images that say nothing',
    }),
  ),
};

export const sourceEnvironmentSchema = Type.Object(
  {
    ...minionFields,
    multi_disk: Type.Optional(
      choice(['together', 'pause'], {
        title: 'Moment of several disks',
        default: 'together',
        description:
          'together: all snapshots are asked for at once, a second or so apart; pause: the instance is paused meanwhile, so that they are of one moment. Groups with consistent snapshots need neither',
      }),
    ),
    quiesce: Type.Optional(
      choice(['auto', 'never', 'always'], {
        title: 'Freeze file systems',
        default: 'auto',
        description:
          'Through the guest agent, for instances booted from a volume whose image has hw_qemu_guest_agent and os_require_quiesce. auto: go on without where that fails, and say so; always: refuse the run',
      }),
    ),
    ephemeral_disks: Type.Optional(
      choice(['refuse', 'empty'], {
        title: 'Ephemeral disks',
        default: 'refuse',
        description: 'No API reads the ephemeral disk of a flavor. empty: leave it out, the target makes an empty one',
      }),
    ),
  },
  { additionalProperties: false },
);
export type SourceEnvironment = Static<typeof sourceEnvironmentSchema>;

export const destinationEnvironmentSchema = Type.Object(
  {
    ...minionFields,
    staging_folder: Type.Optional(
      Type.String({
        title: 'Staging folder',
        minLength: 1,
        pattern: '^/',
        description: 'With glance: folder on the worker that holds the replica disks until they are deployed',
      }),
    ),
    volume_type: name(
      'Volume type',
      'For disks that the storage mappings do not name. Absent: the default of the cloud',
    ),
    new_volumes: Type.Optional(
      choice(['zero', 'trust'], {
        title: 'New volumes',
        default: 'zero',
        description:
          'zero: they are read once, and what is not zero is overwritten; trust: the back end gives volumes that read as zeroes (Ceph, NFS, thin LVM), which spares that pass',
      }),
    ),
    availability_zone: name(
      'Availability zone',
      'Of the instance. Absent: that of the source if there is one, else any',
    ),
    volume_availability_zone: name('Volume availability zone', 'Absent: the cloud chooses'),
    network: name('Network', 'For NICs that the network map does not name; "none" for no NIC'),
    flavor_name: name(
      'Flavor',
      'Absent: the one of the same name, memory and CPUs, else the smallest that is large enough',
    ),
    create_flavor: Type.Optional(
      Type.Boolean({
        title: 'Create flavor',
        default: false,
        description:
          "Make one that fits exactly where there is none; needs the right to do so, which is mostly an administrator's",
      }),
    ),
    keypair_name: name('Keypair', 'Of the user. Absent: the one of the same name as at the source, if there is one'),
    security_groups: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        title: 'Security groups',
        description: 'Names or ids. Absent: those of the same names as at the source, else "default"',
      }),
    ),
    server_group: name('Server group', 'Absent: the one of the same name as at the source, if there is one'),
    floating_network: name('Floating network', 'External network; the instance gets a floating IP of it. Absent: none'),
    keep_addresses: Type.Optional(
      choice(['if_free', 'always', 'never'], {
        title: 'Keep MAC and IP addresses',
        default: 'if_free',
        description: 'if_free: what cannot be kept is replaced and reported; always: refuse the deployment then',
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
    user_data: Type.Optional(
      Type.String({
        title: 'User data',
        maxLength: 49_151,
        description: 'Plain text for the instance. Absent: that of the source where it can be read',
      }),
    ),
    config_drive: Type.Optional(Type.Boolean({ title: 'Config drive', description: 'Absent: as at the source' })),
    delete_volumes_on_termination: Type.Optional(
      Type.Boolean({
        title: 'Delete volumes with the instance',
        default: false,
        description: 'What the cloud does with the volumes of a deployed instance when that is deleted',
      }),
    ),
    name_suffix: Type.Optional(
      Type.String({ title: 'Name suffix', maxLength: 40, description: 'Put behind the name of the deployed instance' }),
    ),
    boot_seconds: Type.Optional(
      Type.Integer({
        title: 'Seconds of boot evidence',
        minimum: 0,
        maximum: 900,
        default: 20,
        description: 'How long after the start the console is read before it is kept as evidence',
      }),
    ),
  },
  { additionalProperties: false },
);
export type DestinationEnvironment = Static<typeof destinationEnvironmentSchema>;

const { data_path: _, ...machineFields } = minionFields;

/** Options of a pool, of either side: what its machines are made from. */
export const poolSchema = Type.Object(
  {
    ...machineFields,
    minion_image: Type.String({
      title: 'Minion image',
      minLength: 1,
      description: 'A Linux image that runs cloud-init or user data scripts and an SSH server',
    }),
  },
  { additionalProperties: false, title: 'Minion pool' },
);

/** What both environments say about minions. */
export type MinionEnvironment = Pick<SourceEnvironment, keyof typeof minionFields>;
