import { constants, createReadStream } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { askReport } from '../../testbed/guests/console.ts';
import { command, type GuestReport, guestDomainXml, nextReport, readReport } from '../../testbed/guests/guest.ts';
import { buildGuest } from '../../testbed/guests/guest-build.ts';
import { type LibvirtHost, startLibvirtHost } from '../../testbed/libvirt/libvirt-host.ts';
import type { Godwit } from './godwit.ts';
import { grid, summary } from './summary.ts';
import type { Undo } from './undo.ts';

const NAME = 'web01';
/** A network of this name on both hosts: a bridge that leads nowhere. */
const NETWORK = 'lab';

type Say = (line: string) => void;

/** Moves a running guest with four disks between two libvirt/QEMU hosts. */
export async function moveGuest(godwit: Godwit, folder: string, undo: Undo, say: Say): Promise<void> {
  say('Building the guest (once; it is kept in the cache), starting two libvirt/QEMU hosts');
  const starting = [startLibvirtHost(), startLibvirtHost()] as const;
  // Named before they are there: the demo may be stopped while they start.
  for (const host of starting) undo.push(() => host.then((started) => started.stop()));
  const [guest, from, to] = await Promise.all([buildGuest(undefined, say), ...starting]);
  const disks = await Promise.all(
    guest.disks.map(async (disk) => {
      const file = path.join(from.images, path.basename(disk.path));
      await copyFile(disk.path, file, constants.COPYFILE_FICLONE);
      return { ...disk, path: file };
    }),
  );
  for (const host of [from, to]) {
    if (!host.networks) continue;
    const network = path.join(folder, 'network.xml');
    await writeFile(network, `<network><name>${NETWORK}</name><bridge name='gwlab'/></network>`);
    await host.virsh('net-define', network);
    await host.virsh('net-start', NETWORK);
  }
  const log = path.join(from.dir, 'web01.log');
  const xml = path.join(folder, 'web01.xml');
  await writeFile(
    xml,
    guestDomainXml({
      name: NAME,
      guest: { disks },
      console: log,
      ...(from.networks ? { network: NETWORK } : {}),
    }),
  );
  await from.virsh('define', xml);
  await from.virsh('start', NAME);
  say(`Booting ${NAME} on the first host (software emulation: it runs on every machine), four disks`);
  const first = await nextReport(log);
  say(`${NAME} is up: ${describe(first)}`);

  await godwit.show(
    'endpoint',
    'create',
    '--name',
    'old',
    '--provider',
    'libvirt',
    '--connection',
    uri(from),
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
    'libvirt',
    '--connection',
    uri(to),
    '-c',
    'id',
    '-c',
    'name',
  );
  await godwit.show('endpoint', 'instance', 'list', 'old');
  const transfer = await godwit.ask(
    ...['transfer', 'create', '--origin-endpoint', 'old', '--destination-endpoint', 'new', '--instance', NAME],
    ...['--source-environment', JSON.stringify({ quiesce: 'auto', socket_folder: from.dir })],
    ...['--destination-environment', JSON.stringify({ storage: to.images, virtualization: 'emulation' })],
    ...['--network-map', JSON.stringify({ [NETWORK]: to.networks ? NETWORK : 'none' }), '-f', 'value', '-c', 'id'],
  );
  const seconds: number[] = [];
  const execute = async (...more: string[]): Promise<void> => {
    const begun = performance.now();
    await godwit.show('transfer', 'execute', transfer, ...more, '--wait', '-c', 'id', '-c', 'status');
    seconds.push((performance.now() - begun) / 1000);
  };

  say('First execution, while the guest runs and writes');
  await command(from, NAME, log, 'load 4');
  await execute();
  say('The guest writes: a 3 MiB file, a word on its archive disk, and its write load goes on');
  await command(from, NAME, log, 'fill report.txt 3072 7');
  await command(from, NAME, log, 'stamp 4000000 arrived');
  say('Second execution: only what changed');
  await execute();

  await command(from, NAME, log, 'put last-word before-the-cutover');
  await command(from, NAME, log, 'report');
  const before = readReport(await text(log));
  if (before === null) throw new Error('the guest gave no report before the cutover');
  say('Cutover: stop the guest, last sync with both ends read whole, boot at the destination');
  const stopped = whenStopped(from);
  await execute('--shutdown-instances');
  await godwit.show('deployment', 'create', transfer, '--wait', '-c', 'id', '-c', 'status');
  const after = await askReport(to, NAME);
  const downtime = (Date.now() - (await stopped)) / 1000;

  console.log(`\n${await summary(godwit, transfer, seconds)}`);
  const roles = Object.keys(before.disks);
  const rows = roles.map((role) => {
    const was = before.disks[role];
    const is = after.disks[role];
    return [
      role,
      was?.digest.slice(0, 16) ?? '',
      is?.digest.slice(0, 16) ?? '',
      is?.status === 'ok' && was?.digest === is?.digest ? 'equal' : 'DIFFERENT',
    ];
  });
  console.log(
    `\nWhat the guest itself says of its files:\n${grid(['Disk', 'Before', 'At the destination', ''], rows)}`,
  );
  console.log(
    `Records of its write load: ${before.load.records} before the cutover's report, ${after.load.records} after, ${after.load.bad} torn or lost.`,
  );
  console.log(`MAC address: ${macs(before)} before, ${macs(after)} after.`);
  console.log(
    `Downtime: ${downtime.toFixed(1)} s from power-off to the guest's report at the destination (most of it the boot under emulation).`,
  );
  const faults =
    rows.filter((row) => row[3] !== 'equal').length +
    after.load.bad +
    (after.load.records < before.load.records ? 1 : 0);
  if (faults > 0 || rows.length !== 4)
    throw new Error('the guest at the destination does not hold what it held at the source');
}

const uri = (host: LibvirtHost): string => JSON.stringify({ uri: host.uri });

const macs = (report: GuestReport): string => report.nics.map((nic) => nic.mac).join(', ') || 'none';

const describe = (report: GuestReport): string =>
  Object.entries(report.disks)
    .map(([role, disk]) => `${role} ${disk.status}`)
    .join(', ');

async function text(file: string): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of createReadStream(file)) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('latin1');
}

/** The moment the guest was seen to be off at the source, ms since the epoch. */
async function whenStopped(host: LibvirtHost): Promise<number> {
  for (;;) {
    const state = await host.virsh('domstate', NAME).catch(() => '');
    if (state.includes('shut off')) return Date.now();
    await sleep(200);
  }
}
