// `npm run demo`: a real VM with four disks moves between two real hypervisors, and the demo says what it did.
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { defaultCache } from '../../testbed/guests/guest-build.ts';
import { diskPackages, ensurePackages, hypervisorPackages } from '../debian-packages.ts';
import { moveFolder } from './folders.ts';
import { startGodwit } from './godwit.ts';
import { whyNoHypervisors } from './hypervisor-support.ts';
import { moveGuest } from './hypervisors.ts';
import { makeDemoFolder, type Undo } from './undo.ts';

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
const reason = values.folders ? undefined : whyNoHypervisors(lacking);
const folders = values.folders || reason !== undefined;
if (reason !== undefined) {
  console.log(`No hypervisors can run here: ${reason}. The demo moves disks between two folders instead.`);
}

const folder = makeDemoFolder();
const undo: Undo = [];
let ending: Promise<void> | undefined;
const end = (): Promise<void> => {
  ending ??= (async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
      await step().catch((error: unknown) => console.error(String(error)));
    }
    rmSync(folder, { recursive: true, force: true });
  })();
  return ending;
};
const leave = (): never => {
  console.log(
    folders
      ? '\nNothing was left behind.'
      : `\nLeft behind: the Debian packages, and the built guest in ${defaultCache()}.`,
  );
  process.exit();
};
const interrupted = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (ending === undefined) console.log('\nStopping.');
      resolve();
      // Done and kept: stopping is what was asked for.
      if (process.exitCode !== 0) process.exitCode = 130;
      void end().then(leave);
    });
  }
});

process.exitCode = 1;
try {
  say('Starting Godwit: embedded Postgres, API, one worker');
  const godwit = await startGodwit(folder, undo);
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
leave();
