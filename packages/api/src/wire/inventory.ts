import type { InstanceInfo } from '@godwit/domain';

const COLUMNS = [
  'id',
  'name',
  'num_cpu',
  'memory_mb',
  'os_type',
  'firmware_type',
  'disks',
  'disk_bytes',
  'nics',
  'mac_addresses',
  'networks',
] as const;

/** RFC 4180: a header row and one row per instance, CRLF line ends. */
export function inventoryCsv(instances: readonly InstanceInfo[]): string {
  const rows = instances.map((instance) => {
    const { disks, nics } = instance.devices;
    return [
      instance.id,
      instance.name,
      instance.num_cpu,
      instance.memory_mb,
      instance.os_type,
      instance.firmware_type,
      disks.length,
      disks.reduce((sum, disk) => sum + disk.size_bytes, 0),
      nics.length,
      nics.map((nic) => nic.mac_address ?? '').join(' '),
      nics.map((nic) => nic.network_name).join(' '),
    ];
  });
  return [COLUMNS, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/** Spreadsheets run cells that begin like a formula; a leading apostrophe makes them text. */
function cell(value: string | number): string {
  const text = String(value);
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
