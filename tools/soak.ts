// `npm run soak -- --kills 1000`: the long form of the root test. Runs it with new seeds until so many kills are done.
import { parseArgs } from 'node:util';
import { rootRun } from '../testbed/spine/root-run.ts';
import { diskPackages, ensurePackages } from './debian-packages.ts';

const help = `Usage: npm run soak -- [--kills N] [--per-run N] [--seed N] [--scale X]

Moves six disks through several executions while worker, API and Postgres are killed at random, compares whole disks with
cmp, and starts again with the next seed until N kills are done. Stops at the first run that is not perfect.

  --kills N    kills in all (default 1000)
  --per-run N  kills in one run (default 40)
  --seed N     first seed (default 1); a failed run names its own
  --scale X    size of the disks, 1 = about 200 MiB of data (default 1)

Example: npm run soak -- --kills 200 --seed 42
`;

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    'per-run': { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    scale: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}
const wanted = Number(values.kills);
const perRun = Number(values['per-run']);
const scale = Number(values.scale);
if (![wanted, perRun, scale, Number(values.seed)].every((value) => Number.isFinite(value) && value > 0)) {
  console.error(`Every option takes a number above 0.\n\n${help}`);
  process.exit(2);
}
if (ensurePackages([diskPackages]).length > 0) process.exit(1);

const begun = Date.now();
let killed = 0;
let runs = 0;
let resent = 0;
for (let seed = Number(values.seed); killed < wanted; seed += 1) {
  const report = await rootRun({ seed, kills: Math.min(perRun, wanted - killed), scale });
  const now = report.kills.worker + report.kills.api + report.kills.postgres;
  killed += now;
  runs += 1;
  resent += report.bytesResent;
  const { sent, changed } = report.quiet;
  const faults = [
    ...report.different,
    ...report.resentTooMuch,
    ...(sent > changed ? [`an execution in peace sent ${sent} bytes, ${changed} had changed`] : []),
    ...report.leftovers.map((row) => `left over: ${row}`),
    ...report.strays.map((file) => `left over: ${file}`),
  ];
  const minutes = ((Date.now() - begun) / 60_000).toFixed(1);
  console.log(
    `seed ${seed}: ${report.executions.length} executions, kills worker ${report.kills.worker} api ${report.kills.api} ` +
      `postgres ${report.kills.postgres}; resent ${(report.bytesResent / 1_048_576).toFixed(1)} MiB; ` +
      `${report.disksCompared} disks compared; total ${killed}/${wanted} kills in ${minutes} min`,
  );
  if (faults.length > 0) {
    console.error(`seed ${seed} is not perfect:\n  ${faults.join('\n  ')}`);
    process.exit(1);
  }
}
console.log(
  `${killed} kills in ${runs} runs, every disk equal, ${(resent / 1_048_576).toFixed(1)} MiB sent again in all`,
);
