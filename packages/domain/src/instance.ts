/**
 * An instance as its platform describes it, in the field names of the wire contract (Coriolis "export info"), so that the
 * object a provider returns is the object the API answers.
 */

export type OsType = 'linux' | 'windows' | 'bsd' | 'osx' | 'solaris' | 'other' | 'unknown';
export type FirmwareType = 'BIOS' | 'EFI';

/** One line of an instance list. */
export interface InstanceSummary {
  /** Stable identifier at the platform; what a transfer names. */
  id: string;
  name: string;
  num_cpu: number;
  memory_mb: number;
  os_type: OsType;
  firmware_type?: FirmwareType;
  flavor_name?: string | null;
}

/** A disk of an instance, as the source has it. */
export interface InstanceDisk {
  /** Stable within the instance across executions: the target name (`vda`), a volume id. */
  id: string;
  /** Virtual size, bytes. */
  size_bytes: number;
  format: string;
  /** Where it lies, for people; never used to open it. */
  path?: string | null;
  unit_number?: number | null;
  controller_id?: string | null;
  storage_backend_identifier?: string | null;
  allocation_type?: 'static' | 'dynamic';
  /** `virtio`, `scsi`, `sata`, `ide`, `nvme`. */
  bus?: string | null;
  shareable?: boolean;
}

export interface InstanceNic {
  id: string;
  name?: string | null;
  network_id?: string | null;
  network_name: string;
  mac_address: string | null;
  ip_addresses?: string[];
  /** `virtio`, `e1000`, ... */
  model?: string | null;
}

export interface InstanceDevices {
  disks: InstanceDisk[];
  nics: InstanceNic[];
  cdroms: object[];
  serial_ports: object[];
  floppies: object[];
  controllers: object[];
}

/** Everything a target needs to make the instance anew. */
export interface InstanceInfo extends InstanceSummary {
  firmware_type: FirmwareType;
  /** Present state; a stopped instance is copied without a running guest's help. */
  running: boolean;
  secure_boot: boolean;
  nested_virtualization: boolean;
  dynamic_memory_enabled: boolean;
  hostname: string | null;
  /** Machine type where the platform has one (`q35`, `pc`). */
  machine_type?: string | null;
  /** Disk and NIC ids in boot order. */
  boot_order: string[];
  devices: InstanceDevices;
  /** The platform's own description, kept as evidence (domain XML, OVF); media type to text. */
  artefacts?: Record<string, string>;
}

export interface Network {
  id: string;
  name: string;
}

export interface StorageBackend {
  id: string;
  name: string;
  /** Bytes, where the platform tells. */
  available_bytes?: number;
  additional_provider_properties?: Record<string, unknown>;
}
