import type { ImageFormat } from '@godwit/disk';
import type { InstanceDisk, InstanceInfo, OsType } from '@godwit/domain';

/** A disk as a description names it. */
export interface DescribedDisk {
  id: string;
  /** File beside the description, or null: a blank disk of `capacity` bytes. */
  file: string | null;
  /** Null: told by the file's name and content. */
  format: ImageFormat | null;
  /** Bytes as the description says; the image's own size wins. */
  capacity: number | null;
  /** The whole file is packed with gzip. */
  gzip: boolean;
  device: Omit<InstanceDisk, 'id' | 'size_bytes' | 'format'>;
}

/** What an OVF or a domain XML says about a VM. */
export interface Description {
  /** `devices.disks` is empty: they are known when the files have been looked at. */
  info: Omit<InstanceInfo, 'id'>;
  disks: DescribedDisk[];
}

/** The family that a free-text name of an operating system belongs to. */
export function osTypeOf(name: string | null): OsType {
  const text = name?.toLowerCase() ?? '';
  if (/windows|\bwin\d|\bwin[a-z]*net|winnt|microsoft/.test(text)) return 'windows';
  if (/darwin|mac ?os|\bosx/.test(text)) return 'osx';
  if (/bsd/.test(text)) return 'bsd';
  if (/solaris|sunos|illumos/.test(text)) return 'solaris';
  const linux = /linux|ubuntu|debian|rhel|red ?hat|centos|fedora|suse|sles|rocky|alma|alpine|arch|gentoo|cirros|coreos/;
  if (linux.test(text)) return 'linux';
  return text === '' || text === 'unknown' ? 'unknown' : 'other';
}

/** An instance without devices, BIOS, one CPU and 1 GiB: what nobody has described. */
export function blankInfo(name: string): Omit<InstanceInfo, 'id'> {
  return {
    name,
    num_cpu: 1,
    memory_mb: 1024,
    os_type: 'unknown',
    firmware_type: 'BIOS',
    running: false,
    secure_boot: false,
    nested_virtualization: false,
    dynamic_memory_enabled: false,
    hostname: null,
    boot_order: [],
    devices: { disks: [], nics: [], cdroms: [], serial_ports: [], floppies: [], controllers: [] },
  };
}
