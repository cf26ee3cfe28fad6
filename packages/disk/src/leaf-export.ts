import type { CheckpointStore } from './checkpoint-store.ts';
import { fillGroup, LeafLayout } from './leaf-table.ts';

/**
 * The leaf table as it travels beside a receipt: 32 bytes per leaf, in order, group by group. It belongs to the receipt only
 * while its Merkle root is the receipt's: a later execution changes it.
 *
 * @param size bytes of the disk, as in the receipt
 */
export async function* exportLeafTable(
  store: Pick<CheckpointStore, 'load' | 'readGroups'>,
  size: number,
): AsyncGenerator<Uint8Array, void, void> {
  const layout = new LeafLayout(size);
  const zeroedEnd = (await store.load())?.progress?.zeroedEnd ?? 0;
  for (let first = 0; first < layout.groupCount; first += 16) {
    const rows = new Map((await store.readGroups(first, 16)).map((row) => [row.group, row]));
    for (let group = first; group < Math.min(layout.groupCount, first + 16); group++) {
      yield fillGroup(layout, group, rows.get(group), zeroedEnd).leaves;
    }
  }
}
