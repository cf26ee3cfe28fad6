// A worker of its own process, for tests that kill it: opens replica disks, keeps writing, says so.
import { openDisk } from '@godwit/disk';
import type { TargetDisk } from '@godwit/provider';
import { MemoryLedger } from '@godwit/provider/conformance';
import { imageProvider } from '../src/index.ts';

const { path, workDir, disk }: { path: string; workDir: string; disk: TargetDisk } = JSON.parse(process.argv[2]!);
const opened = await imageProvider.target!.openDisks(
  {
    endpoint: 'endpoint folder',
    connectionInfo: { path },
    signal: new AbortController().signal,
    ledger: new MemoryLedger(),
    workDir,
    progress: () => undefined,
  },
  [disk],
  false,
);
const target = await openDisk(opened.addresses[disk.id]!);
const bytes = new Uint8Array(65_536).fill(0xee);
for (let round = 0; ; round++) {
  await target.write((round % 16) * 65_536, bytes);
  if (round === 0) process.stdout.write('writing\n');
}
