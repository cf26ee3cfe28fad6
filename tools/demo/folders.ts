import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { changeDisks, makeDisks, sixDisks } from '../../testbed/spine/disks.ts';
import { seeded } from '../../testbed/spine/random.ts';
import type { Godwit } from './godwit.ts';
import { summary } from './summary.ts';

/** The same journey between two folders of disk images, where no hypervisor can run. */
export async function moveFolder(godwit: Godwit, folder: string, say: (line: string) => void): Promise<void> {
  const random = seeded(2026);
  const source = path.join(folder, 'source');
  const target = path.join(folder, 'target');
  const vm = path.join(source, 'web01');
  mkdirSync(vm, { recursive: true });
  mkdirSync(target);
  const disks = sixDisks(0.5).slice(2);
  say('Making web01: four disks of random content, one odd-sized, one sparse');
  makeDisks(vm, disks, random);
  const connection = (where: string): string => JSON.stringify({ path: where });
  await godwit.show(
    'endpoint',
    'create',
    '--name',
    'old',
    '--provider',
    'image',
    '--connection',
    connection(source),
    '-c',
    'id',
    '-c',
    'name',
  );
  await godwit.show(
    'endpoint',
    'create',
    '--name',
    'new',
    '--provider',
    'image',
    '--connection',
    connection(target),
    '-c',
    'id',
    '-c',
    'name',
  );
  await godwit.show('endpoint', 'instance', 'list', 'old');
  const transfer = await godwit.ask(
    ...['transfer', 'create', '--origin-endpoint', 'old', '--destination-endpoint', 'new', '--instance', 'web01'],
    ...['--source-environment', '{"freeze": "auto"}', '--destination-environment', '{"disk_format": "raw"}'],
    ...['--network-map', '{"default": "default"}', '-f', 'value', '-c', 'id'],
  );
  const seconds: number[] = [];
  for (const [round, more] of [[], [], ['--shutdown-instances']].entries()) {
    if (round > 0)
      say(`The disks change: ${(changeDisks(vm, disks, random) / 1_048_576).toFixed(1)} MiB of blocks touched`);
    const begun = performance.now();
    await godwit.show('transfer', 'execute', transfer, ...more, '--wait', '-c', 'id', '-c', 'status');
    seconds.push((performance.now() - begun) / 1000);
  }
  await godwit.show('deployment', 'create', transfer, '--wait', '-c', 'id', '-c', 'status');
  console.log(`\n${await summary(godwit, transfer, seconds)}`);
  const deployed = path.join(target, 'web01');
  const files = readdirSync(deployed);
  for (const disk of disks) {
    const copy = files.find((file) => file.startsWith(disk.name)) ?? '';
    const cmp = spawnSync('cmp', [path.join(vm, `${disk.name}.raw`), path.join(deployed, copy)], { encoding: 'utf8' });
    console.log(`cmp ${disk.name}.raw: ${cmp.status === 0 ? 'equal' : `DIFFERENT ${cmp.stdout}${cmp.stderr}`}`);
    if (cmp.status !== 0) throw new Error(`disk ${disk.name} differs at the destination`);
  }
}
