import { Type } from 'typebox';
import { Exact, Nullable, OneOf, Open } from './json.ts';

const OsType = OneOf(['linux', 'windows', 'bsd', 'osx', 'solaris', 'other', 'unknown'] as const);

const summary = {
  id: Type.String(),
  name: Type.String(),
  num_cpu: Type.Integer(),
  memory_mb: Type.Integer(),
  os_type: OsType,
  instance_name: Type.Optional(Type.String()),
  firmware_type: Type.Optional(OneOf(['BIOS', 'EFI'] as const)),
  flavor_name: Type.Optional(Nullable(Type.String())),
};

/** A line of an instance list. Providers may add keys. */
export const InstanceSummary = Open('InstanceSummary', summary);

const Disk = Open('InstanceDisk', {
  id: Type.String(),
  size_bytes: Type.Integer(),
  format: Type.Optional(Type.String()),
  path: Type.Optional(Nullable(Type.String())),
  unit_number: Type.Optional(Nullable(Type.Integer())),
  controller_id: Type.Optional(Nullable(Type.String())),
  storage_backend_identifier: Type.Optional(Nullable(Type.String())),
  allocation_type: Type.Optional(OneOf(['static', 'dynamic'] as const)),
  bus: Type.Optional(Nullable(Type.String())),
  shareable: Type.Optional(Type.Boolean()),
});

const Nic = Open('InstanceNic', {
  id: Type.String(),
  network_name: Type.String(),
  mac_address: Nullable(Type.String()),
  name: Type.Optional(Nullable(Type.String())),
  network_id: Type.Optional(Nullable(Type.String())),
  ip_addresses: Type.Optional(Type.Array(Type.String())),
});

const AnyObjects = Type.Array(Type.Unsafe<object>({ type: 'object' }));

export const Instance = Open('Instance', {
  ...summary,
  devices: Open('InstanceDevices', {
    disks: Type.Array(Disk),
    nics: Type.Array(Nic),
    cdroms: AnyObjects,
    serial_ports: AnyObjects,
    floppies: AnyObjects,
    controllers: AnyObjects,
  }),
});

const Option = Open('OptionValues', {
  name: Type.String(),
  values: Type.Array(Type.Unknown({ description: 'A string, or an object with id and name' })),
  config_default: Type.Optional(Type.Unknown()),
});

export const InstancesAnswer = Exact('InstancesAnswer', { instances: Type.Array(InstanceSummary) });
export const InstanceAnswer = Exact('InstanceAnswer', { instance: Instance });
export const NetworksAnswer = Exact('NetworksAnswer', {
  networks: Type.Array(Open('Network', { id: Type.String(), name: Type.String() })),
});
export const StorageAnswer = Exact('StorageAnswer', {
  storage: Open('Storage', {
    storage_backends: Type.Array(Open('StorageBackend', { id: Type.String(), name: Type.String() })),
  }),
});
export const SourceOptionsAnswer = Exact('SourceOptionsAnswer', { source_options: Type.Array(Option) });
export const DestinationOptionsAnswer = Exact('DestinationOptionsAnswer', { destination_options: Type.Array(Option) });
export const SourcePoolOptionsAnswer = Exact('SourcePoolOptionsAnswer', {
  source_minion_pool_options: Type.Array(Option),
});
export const DestinationPoolOptionsAnswer = Exact('DestinationPoolOptionsAnswer', {
  destination_minion_pool_options: Type.Array(Option),
});
