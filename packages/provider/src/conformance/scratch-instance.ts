import type { InstanceInfo } from '@godwit/domain';
import type { DeployRequest, ProviderContext, TargetDisk, TargetRequest } from '../provider.ts';
import { type Bench, bytesOf, ensure, pattern, same, withDisks } from './bench.ts';

/** Sizes, bytes: one round, one that no block size divides. */
const sizes = [8_388_608, 4_194_304 + 512];
const MARK_AT = 1_048_576;
const MARK_LENGTH = 131_072;

/** An instance that exists nowhere: two small disks, one CPU; its disks are the scratch of the target checks. */
function scratchInstance(bench: Bench, key: string): InstanceInfo {
  const nic = { id: 'nic0', network_name: 'source-net', mac_address: '52:54:00:7f:3a:01', model: 'virtio' };
  return {
    id: key,
    name: `godwit-${key}`,
    num_cpu: 1,
    memory_mb: 128,
    os_type: 'linux',
    firmware_type: 'BIOS',
    running: false,
    secure_boot: false,
    nested_virtualization: false,
    dynamic_memory_enabled: false,
    hostname: null,
    boot_order: ['vda'],
    devices: {
      disks: sizes.map((size_bytes, index) => ({
        id: `vd${'ab'[index]}`,
        size_bytes,
        format: 'raw',
        bus: 'virtio',
        storage_backend_identifier: 'source-storage',
      })),
      nics: bench.options.network === undefined ? [] : [nic],
      cdroms: [],
      serial_ports: [],
      floppies: [],
      controllers: [],
    },
  };
}

export function scratchRequest(bench: Bench): TargetRequest {
  const key = bench.key();
  const { network } = bench.options;
  return {
    key,
    transfer: key,
    instance: scratchInstance(bench, key),
    environment: bench.options.destinationEnvironment ?? {},
    networkMap: network === undefined ? {} : { 'source-net': network },
    storageMappings: {},
  };
}

export function deployRequest(
  bench: Bench,
  request: TargetRequest,
  disks: TargetDisk[],
  how: { clone: boolean; test: boolean },
): DeployRequest {
  return { ...request, ...how, key: bench.key(), disks, powerOn: false };
}

/** Makes replica disks, works with them and removes them whatever happens. */
export async function withScratchDisks<T>(
  bench: Bench,
  work: (disks: TargetDisk[], request: TargetRequest, ctx: ProviderContext) => Promise<T>,
): Promise<T> {
  const ctx = bench.context();
  const request = scratchRequest(bench);
  try {
    return await work(await bench.target.createDisks(ctx, request, []), request, ctx);
  } finally {
    await bench.reap();
  }
}

/** Writes known bytes into each disk, as the copy engine does: by range, then a flush. */
export async function fillDisks(bench: Bench, ctx: ProviderContext, disks: TargetDisk[], seed: number): Promise<void> {
  await withDisks(bench.target.openDisks(ctx, disks, false), ids(disks), async (opened) => {
    await opened.write(MARK_AT, pattern(seed, MARK_LENGTH));
    await opened.flush();
  });
}

/** Which seed each disk was last filled with is what the platform must remember. */
export async function ensureFilled(
  bench: Bench,
  ctx: ProviderContext,
  disks: TargetDisk[],
  seed: number,
  when: string,
): Promise<void> {
  await withDisks(bench.target.openDisks(ctx, disks, true), ids(disks), async (opened, id) => {
    const seen = await bytesOf(opened, MARK_AT, MARK_LENGTH);
    ensure(same(seen, pattern(seed, MARK_LENGTH)), `disk ${id} reads other bytes ${when}`);
  });
}

const ids = (disks: readonly TargetDisk[]): string[] => disks.map(({ id }) => id);
