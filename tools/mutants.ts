// Puts one defect after the other into a clone of the repository and tells which test notices it: docs/design/mutations.md.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { diskMutants } from './mutants/disk.ts';
import { engineMutants } from './mutants/engine.ts';
import type { Mutant } from './mutants/mutant.ts';

const help = `Usage: node tools/mutants.ts --in CLONE [--only TEXT] [--root] [--list]

Breaks the product in one place after the other, each time runs the tests that stand nearest, and prints a table: the
defect, what it would lose, the test that noticed. Exit 1 when one stayed unnoticed.

  --in CLONE   a clone of this repository with its node_modules, nobody else's: its sources are changed and put back
  --only TEXT  only defects whose name holds this
  --root       run the root test (six disks, thirty kills) instead of the nearest tests
  --list       only say what there is

Example: git clone . /tmp/clone && (cd /tmp/clone && npm ci) && node tools/mutants.ts --in /tmp/clone
`;

/** The figures of one defect. */
interface Result {
  mutant: Mutant;
  /** The first test that failed; null: none did. */
  noticedBy: Failure | null;
}

interface Failure {
  test: string;
  /** First line of what it said: a test that fails for a reason of its own notices nothing. */
  said: string;
}

interface Report {
  testResults: {
    name: string;
    message: string;
    assertionResults: { status: string; fullName: string; failureMessages?: string[] }[];
  }[];
}

process.exitCode = main();

function main(): number {
  const { values } = parseArgs({
    options: {
      in: { type: 'string' },
      only: { type: 'string' },
      root: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { only } = values;
  const mutants = [...diskMutants, ...engineMutants].filter(({ name }) => only === undefined || name.includes(only));
  if (values.list) {
    for (const { name } of mutants) console.log(name);
    return 0;
  }
  if (values.help || values.in === undefined) {
    console.error(help);
    return values.help ? 0 : 2;
  }
  const clone = path.resolve(values.in);
  if (clone === path.join(import.meta.dirname, '..') || !existsSync(path.join(clone, 'node_modules'))) {
    console.error('--in takes another clone, with node_modules.');
    return 2;
  }
  const results = mutants.map((mutant) => {
    const result = tryOne(clone, mutant, values.root ? ['testbed/spine/root.test.ts'] : mutant.tests);
    console.log(`| ${mutant.name} | ${mutant.loses} | ${result.noticedBy?.test ?? '**nobody**'} |`);
    if (result.noticedBy) console.log(`    it said: ${result.noticedBy.said}`);
    return result;
  });
  const unnoticed = results.filter(({ noticedBy }) => noticedBy === null);
  console.log(`\n${results.length - unnoticed.length} of ${results.length} defects noticed`);
  for (const { mutant } of unnoticed) console.log(`not noticed: ${mutant.name}`);
  return unnoticed.length === 0 ? 0 : 1;
}

function tryOne(clone: string, mutant: Mutant, tests: string[]): Result {
  const file = path.join(clone, mutant.file);
  const source = readFileSync(file, 'utf8');
  if (source.split(mutant.find).length !== 2) {
    throw new Error(
      `${mutant.name}: its text does not occur exactly once in ${mutant.file}; bring the table up to date`,
    );
  }
  writeFileSync(
    file,
    source.replace(mutant.find, () => mutant.replace),
  );
  try {
    return { mutant, noticedBy: firstFailure(clone, tests) };
  } finally {
    writeFileSync(file, source);
  }
}

function firstFailure(clone: string, tests: string[]): Failure | null {
  const output = path.join(tmpdir(), `mutants-${process.pid}.json`);
  const vitest = path.join(clone, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', '--root', clone, '--project', 'unit', '--bail=1', '--reporter=json'];
  try {
    const run = spawnSync(process.execPath, [...args, `--outputFile=${output}`, ...tests], {
      cwd: clone,
      encoding: 'utf8',
      maxBuffer: 1_073_741_824,
    });
    if (run.status === 0) return null;
    if (!existsSync(output)) throw new Error(`no test ran: ${run.stderr.slice(-2000)}`);
    const report = JSON.parse(readFileSync(output, 'utf8')) as Report;
    const failed = report.testResults.flatMap(({ name, assertionResults }) =>
      assertionResults
        .filter(({ status }) => status === 'failed')
        .map(({ fullName, failureMessages }) => ({
          test: `${path.basename(name)}: ${fullName}`,
          said: failureMessages?.[0]?.split('\n')[0] ?? '',
        })),
    );
    if (failed[0] !== undefined) return failed[0];
    // A file that cannot even be loaded notices nothing but bad syntax.
    throw new Error(`no test failed, yet: ${report.testResults.map(({ message }) => message).join('\n')}`);
  } finally {
    rmSync(output, { force: true });
  }
}
