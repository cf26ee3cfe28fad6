import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Installation } from '../../testbed/spine/installation.ts';

/** Bytes of the one disk of each instance. */
const SIZE = 1_048_576;

/** A folder of instances with one disk of 1 MiB each, a quarter of it data; gives their names. */
export function makeInstances(folder: string, count: number, prefix = 'vm'): string[] {
  return Array.from({ length: count }, (_, nth) => {
    const name = `${prefix}${nth}`;
    const bytes = Buffer.alloc(SIZE);
    bytes.fill(`${name} `, 0, SIZE / 4);
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, name, 'disk.raw'), bytes);
    return name;
  });
}

/** One transfer for each of the instances; gives their ids. */
export async function makeTransfers(
  installation: Installation,
  ends: { origin: string; destination: string },
  instances: readonly string[],
): Promise<string[]> {
  const ids: string[] = [];
  for (let first = 0; first < instances.length; first += 8) {
    const some = instances.slice(first, first + 8);
    ids.push(...(await Promise.all(some.map((name) => installation.transfer(ends.origin, ends.destination, [name])))));
  }
  return ids;
}

/** The POST that runs a transfer. */
export const execution = (label: string, transfer: string) => ({
  label,
  path: `/transfers/${transfer}/executions`,
  method: 'POST' as const,
  body: { execution: { shutdown_instances: false, auto_deploy: false } },
});
