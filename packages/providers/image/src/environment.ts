import { checkInput, choice, type TargetRequest } from '@godwit/provider';
import { type Static, Type } from 'typebox';

/** How a source is kept from changing while it is read. */
export const freezeModes = ['auto', 'reflink', 'copy', 'watch'] as const;
export type FreezeMode = (typeof freezeModes)[number];

export const sourceEnvironmentSchema = Type.Object(
  {
    freeze: Type.Optional(
      choice(freezeModes, {
        title: 'Freeze',
        default: 'auto',
        description:
          'reflink: copies that share blocks (XFS, Btrfs); copy: full copies beside the source; watch: no copy, the run is refused when a file changes meanwhile; auto: reflink where the file system can, else watch',
      }),
    ),
    check_manifest: Type.Optional(
      Type.Boolean({
        title: 'Check manifest',
        default: true,
        description: 'Compare the files with the checksums of the OVF manifest, where there is one, before each run',
      }),
    ),
    num_cpu: Type.Optional(
      Type.Integer({ title: 'CPUs', minimum: 1, maximum: 1024, default: 1, description: 'Of VMs without description' }),
    ),
    memory_mb: Type.Optional(
      Type.Integer({ title: 'Memory, MiB', minimum: 16, default: 1024, description: 'Of VMs without description' }),
    ),
    firmware_type: Type.Optional(
      choice(['BIOS', 'EFI'], { title: 'Firmware', default: 'BIOS', description: 'Of VMs without description' }),
    ),
    os_type: Type.Optional(
      choice(['linux', 'windows', 'bsd', 'osx', 'solaris', 'other', 'unknown'], {
        title: 'Operating system',
        default: 'unknown',
        description: 'Of VMs without description',
      }),
    ),
  },
  { additionalProperties: false },
);

/** What a VM without description is taken for. */
export type BareDefaults = Pick<
  Static<typeof sourceEnvironmentSchema>,
  'num_cpu' | 'memory_mb' | 'firmware_type' | 'os_type'
>;

export const diskFormats = ['raw', 'qcow2'] as const;
export type DiskFormat = (typeof diskFormats)[number];

export const destinationEnvironmentSchema = Type.Object(
  {
    disk_format: Type.Optional(
      choice(diskFormats, {
        title: 'Disk format',
        default: 'raw',
        description: 'raw: fastest; qcow2: snapshots of replica disks cost nothing',
      }),
    ),
  },
  { additionalProperties: false },
);

/** @throws GodwitError INVALID_INPUT */
export function destinationEnvironment(request: TargetRequest): Static<typeof destinationEnvironmentSchema> {
  return checkInput(destinationEnvironmentSchema, request.environment, 'destination_environment');
}
