// `npm test` and `npm run test:testbed`: installs what the suites need, runs them, ends with `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  cloudPackages,
  diskPackages,
  ensurePackages,
  hypervisorPackages,
  hypervisorTestPackages,
  testPackages,
} from './debian-packages.ts';

const help = `Usage: npm test [-- PATTERN...]           all suites that need no booting guest
       npm run test:testbed [-- PATTERN...]  whole systems: real hosts, booting guests

PATTERN keeps the test files whose path contains it.
Examples:
  npm test
  npm test -- packages/disk
`;

const args = process.argv.slice(2);
if (args.includes('--help')) {
  console.log(help);
  process.exit(0);
}
const testbed = args.includes('--testbed');
const patterns = args.filter((arg) => !arg.startsWith('--'));
const lacking = ensurePackages([diskPackages, testPackages, hypervisorPackages, hypervisorTestPackages]);
if (lacking.includes(diskPackages) || lacking.includes(testPackages)) process.exit(1);

const root = process.getuid?.() === 0;
const projects = testbed ? ['testbed'] : ['unit'];
if (testbed && root && ensurePackages([cloudPackages]).length === 0) projects.push('clouds', 'clouds-beside');
else if (testbed) console.error('The suite of the OpenStack clouds is left out: it needs root, Debian 12 and python3.');
const hypervisors = !lacking.includes(hypervisorPackages) && !lacking.includes(hypervisorTestPackages);
if (!testbed && root && hypervisors) projects.push('libvirt');
else if (!testbed)
  console.error('The libvirt suite is left out: it needs root and libvirt (npm test says which packages above).');

const folder = mkdtempSync(path.join(tmpdir(), 'godwit-test-'));
const report = path.join(folder, 'report.json');
const vitest = path.join(import.meta.dirname, '../node_modules/vitest/vitest.mjs');
const run = spawnSync(
  process.execPath,
  [
    vitest,
    'run',
    ...projects.flatMap((project) => ['--project', project]),
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...patterns,
  ],
  {
    stdio: ['ignore', 'inherit', 'inherit'],
    cwd: path.join(import.meta.dirname, '..'),
    // The suites start hundreds of processes of the same code: each file is stripped of its types and compiled but once.
    env: { ...process.env, NODE_COMPILE_CACHE: path.join(folder, 'compiled') },
  },
);

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numFailedTestSuites: number;
  testResults: {
    name: string;
    status: string;
    message: string;
    assertionResults: { status: string; fullName: string; failureMessages: string[] }[];
  }[];
}

let passed = 0;
let failed = 0;
try {
  const result = JSON.parse(readFileSync(report, 'utf8')) as Report;
  passed = result.numPassedTests;
  // A file that dies before its first test has failed suites and no failed test.
  failed = Math.max(result.numFailedTests, result.numFailedTestSuites > 0 ? 1 : 0);
  for (const line of failuresOf(result)) console.log(line);
} catch (error) {
  console.error(`The test runner left no report: ${String(error)}`);
  failed = 1;
}
rmSync(folder, { recursive: true, force: true });
if (run.status !== 0 && failed === 0) failed = 1;
if (passed === 0) failed = Math.max(failed, 1);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

/** A line for each test that failed, for whoever sees only the end of a long log (`.ci/run` repeats them). */
function failuresOf(result: Report): string[] {
  return result.testResults.flatMap((file) => {
    const where = path.relative(path.join(import.meta.dirname, '..'), file.name);
    const tests = file.assertionResults.filter((test) => test.status === 'failed');
    if (tests.length === 0 && file.status === 'failed') return [`FAILED ${where}: ${beginningOf(file.message)}`];
    return tests.map((test) => `FAILED ${where}: ${test.fullName}: ${beginningOf(test.failureMessages.join(' '))}`);
  });
}

function beginningOf(message: string): string {
  return message.replaceAll(/\s+/g, ' ').trim().slice(0, 600);
}
