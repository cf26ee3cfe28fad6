// `npm run demo`: a real VM with four disks moves between two real hypervisors, and the demo says what it did.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { defaultCache } from '../../testbed/guests/guest-build.ts';
import { diskPackages, ensurePackages, hypervisorPackages } from '../debian-packages.ts';
import { moveFolder } from './folders.ts';
import { startGodwit } from './godwit.ts';
import { moveGuest, type Undo } from './hypervisors.ts';

const help = `Usage: npm run demo [-- --folders] [-- --keep]

Starts Godwit and two libvirt/QEMU hosts, boots a small guest with four disks on the first, replicates it while it runs,
lets it write, replicates only what changed, cuts over, boots it on the second host and reads its own report of its files.
About three minutes. Without root or libvirt it does the same between two folders of disk images.

  --folders  use folders of disk images even where hypervisors could run
  --keep     leave everything running at the end, to look around; Ctrl-C ends it

Examples:
  npm run demo
  npm run demo -- --keep
`;

const { values } = parseArgs({
  options: {
    folders: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}

const begun = performance.now();
const say = (line: string): void => {
  const seconds = Math.floor((performance.now() - begun) / 1000);
  console.log(
    `\n[${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}] ${line}`,
  );
};

const lacking = ensurePackages(values.folders ? [diskPackages] : [diskPackages, hypervisorPackages]);
if (lacking.includes(diskPackages)) process.exit(1);
const folders = values.folders || process.getuid?.() !== 0 || lacking.length > 0;
if (folders && !values.folders) {
  console.log(
    'Without root and libvirt there are no hypervisors here: the demo moves disks between two folders instead.',
  );
}

const folder = mkdtempSync(path.join(tmpdir(), 'godwit-demo-'));
const undo: Undo = [];
let ending: Promise<void> | undefined;
const end = (): Promise<void> => {
  ending ??= (async () => {
    for (const step of undo.reverse()) await step().catch((error: unknown) => console.error(String(error)));
    rmSync(folder, { recursive: true, force: true });
  })();
  return ending;
};
const interrupted = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      console.log('\nStopping.');
      resolve();
      if (!values.keep || process.exitCode === undefined) void end().then(() => process.exit(130));
    });
  }
});

process.exitCode = 1;
try {
  say('Starting Godwit: embedded Postgres, API, one worker');
  const godwit = await startGodwit(folder);
  undo.push(() => godwit.stop());
  if (folders) await moveFolder(godwit, folder, say);
  else await moveGuest(godwit, folder, undo, say);
  process.exitCode = 0;
  say('Done: everything arrived, and each receipt above says so.');
  if (values.keep) {
    console.log(`It goes on running. In another terminal:

  export GODWIT_HOME=${godwit.home}
  npx godwit transfer list
  npx godwit receipt list
  npx godwit event follow

API documents: http://${godwit.listen}/docs   Ctrl-C ends it.`);
    await interrupted;
  } else {
    console.log(`Look further:
  npm run demo -- --keep      leaves it running, with the commands to look around
  npm start                   your own installation
  docs/receipt.md             how to check a receipt without Godwit`);
  }
} catch (error) {
  if (ending === undefined)
    console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  await end();
}
console.log(
  folders
    ? '\nNothing was left behind.'
    : `\nLeft behind: the Debian packages, and the built guest in ${defaultCache()}.`,
);
process.exit();
