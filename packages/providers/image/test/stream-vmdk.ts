import { deflateSync } from 'node:zlib';

const SECTOR = 512;
const GRAIN = 65_536;
const TABLE = 512;
const AT_END = 0xffff_ffff_ffff_ffffn;

/** A streamOptimized VMDK and where its parts lie, bytes. */
export interface StreamVmdk {
  bytes: Buffer;
  descriptor: number;
  /** By number of the grain: its marker. */
  grains: Map<number, number>;
  /** By number: the grain table, without its marker. */
  tables: Map<number, number>;
  directory: number;
  footer: number;
}

/**
 * Writes a disk as VMware's exporters do (qemu writes its tables in front): each grain behind a marker, each table behind
 * its grains, the directory and a footer at the end, so that it can be sent while it is made.
 */
export function streamVmdk(disk: Uint8Array): StreamVmdk {
  const parts: Buffer[] = [];
  let at = 0;
  const put = (bytes: Buffer) => {
    const place = at;
    parts.push(bytes, Buffer.alloc((SECTOR - (bytes.length % SECTOR)) % SECTOR));
    at = place + Math.ceil(bytes.length / SECTOR) * SECTOR;
    return place;
  };
  const marker = (kind: number, sectors: number) => {
    const bytes = Buffer.alloc(SECTOR);
    bytes.writeBigUInt64LE(BigInt(sectors), 0);
    bytes.writeUInt32LE(kind, 12);
    put(bytes);
  };
  const capacity = disk.length / SECTOR;
  put(header(capacity, AT_END));
  const descriptor = put(Buffer.concat([Buffer.from(descriptorText(capacity)), Buffer.alloc(1)], 10_240));
  // The exporter leaves room up to the first grain.
  put(Buffer.alloc(128 * SECTOR - at));
  const grains = new Map<number, number>();
  const tables = new Map<number, number>();
  const count = Math.ceil(disk.length / GRAIN);
  const directoryBytes = Buffer.alloc(Math.ceil(count / TABLE) * 4);
  for (let first = 0; first < count; first += TABLE) {
    const table = Buffer.alloc(TABLE * 4);
    for (let grain = first; grain < Math.min(count, first + TABLE); grain++) {
      const bytes = disk.subarray(grain * GRAIN, (grain + 1) * GRAIN);
      if (bytes.every((byte) => byte === 0)) continue;
      const packed = deflateSync(bytes);
      const head = Buffer.alloc(12);
      head.writeBigUInt64LE(BigInt((grain * GRAIN) / SECTOR), 0);
      head.writeUInt32LE(packed.length, 8);
      const place = put(Buffer.concat([head, packed]));
      grains.set(grain, place);
      table.writeUInt32LE(place / SECTOR, (grain - first) * 4);
    }
    if (table.every((byte) => byte === 0)) continue;
    marker(1, 4);
    const place = put(table);
    tables.set(first / TABLE, place);
    directoryBytes.writeUInt32LE(place / SECTOR, (first / TABLE) * 4);
  }
  marker(2, Math.ceil(directoryBytes.length / SECTOR));
  const directory = put(directoryBytes);
  marker(3, 1);
  const footer = put(header(capacity, BigInt(directory / SECTOR)));
  marker(0, 0);
  return { bytes: Buffer.concat(parts), descriptor, grains, tables, directory, footer };
}

function header(capacity: number, directory: bigint): Buffer {
  const bytes = Buffer.alloc(SECTOR);
  bytes.write('KDMV', 0, 'latin1');
  bytes.writeUInt32LE(3, 4);
  bytes.writeUInt32LE(0x30001, 8);
  bytes.writeBigUInt64LE(BigInt(capacity), 12);
  bytes.writeBigUInt64LE(BigInt(GRAIN / SECTOR), 20);
  bytes.writeBigUInt64LE(1n, 28);
  bytes.writeBigUInt64LE(20n, 36);
  bytes.writeUInt32LE(TABLE, 44);
  bytes.writeBigUInt64LE(directory, 56);
  bytes.writeBigUInt64LE(128n, 64);
  bytes.write('\n \r\n', 73, 'latin1');
  bytes.writeUInt16LE(1, 77);
  return bytes;
}

function descriptorText(capacity: number): string {
  return [
    '# Disk DescriptorFile',
    'version=1',
    'CID=7a5b1d2c',
    'parentCID=ffffffff',
    'createType="streamOptimized"',
    '# Extent description',
    `RW ${capacity} SPARSE "call-me-stream.vmdk"`,
    'ddb.adapterType = "lsilogic"',
    '',
  ].join('\n');
}
