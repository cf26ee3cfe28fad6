// `npm run bench`: the product beside its peers, in the same run, on the same disks.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine, imageFolder } from './machine.ts';
import { installProduct } from './product-runner.ts';
import { toMarkdown } from './report.ts';
import type { Bench, ScenarioResult } from './scenario.ts';
import { apiReads } from './scenarios/api-reads.ts';
import { fullCopy } from './scenarios/full-copy.ts';
import { longLink } from './scenarios/long-link.ts';
import { manyExecutions } from './scenarios/many-executions.ts';
import { recovery } from './scenarios/recovery.ts';
import { smallDisks } from './scenarios/small-disks.ts';
import { steadyMemory } from './scenarios/steady-memory.ts';
import { taskSteps } from './scenarios/task-steps.ts';
import { trackedChanges } from './scenarios/tracked-changes.ts';
import { untrackedChanges } from './scenarios/untracked-changes.ts';
import { workerMemory } from './scenarios/worker-memory.ts';

const help = `Usage: npm run bench -- [--scenario P1]... [--rounds N] [--quick] [--seed TEXT] [--output FOLDER] [--document]

Runs the product beside nbdcopy, qemu-img and rsync; every target is compared with its source every time.
  --scenario  P1 full copy, P2 changes with a tracker, P3 changes without, P4 many small disks, P5 long link,
              M1 memory of a worker, M2 memory over ten minutes, C1 reads of the API, C2 steps of an execution,
              C3 a thousand executions, C4 recovery; default: all
  --rounds    rounds per command, default 5 (2 with --quick)
  --quick     small disks: shows that it works, the figures mean little
  --seed      of the disks' contents and changes, default "godwit"
  --output    folder for the JSON results, default perf/results
  --document  put the tables into docs/performance.md, in place of those of the same scenarios
`;

/** Most that the images of one scenario take, bytes: a machine that others use too must keep room. */
const IMAGE_BYTES = 8_000_000_000;

const scenarios = [
  fullCopy,
  trackedChanges,
  untrackedChanges,
  smallDisks,
  longLink,
  workerMemory,
  steadyMemory,
  apiReads,
  taskSteps,
  manyExecutions,
  recovery,
];

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    seed: { type: 'string', default: 'godwit' },
    output: { type: 'string', default: fileURLToPath(new URL('./results', import.meta.url)) },
    document: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const wanted = values.scenario?.map((id) => id.toUpperCase());
  const chosen = scenarios.filter((scenario) => wanted === undefined || wanted.includes(scenario.id));
  const unknown = wanted?.filter((id) => !scenarios.some((scenario) => scenario.id === id)) ?? [];
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
  if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
    process.stderr.write(help);
    process.exitCode = 2;
    return;
  }
  const folder = mkdtempSync(join(imageFolder(IMAGE_BYTES), 'godwit-bench-'));
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const bench: Bench = { folder, rounds, quick: values.quick, seed: values.seed, say };
  const clean = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('SIGINT', () => {
    clean();
    process.exit(130);
  });
  const failed: string[] = [];
  try {
    await installProduct();
    for (const scenario of chosen) {
      const began = performance.now();
      say(`${scenario.id}: ${scenario.title}`);
      try {
        save(await scenario.run(bench), rounds);
        say(`${scenario.id} took ${((performance.now() - began) / 60_000).toFixed(1)} minutes`);
      } catch (error) {
        // The others are worth having all the same, and what they showed is kept already.
        failed.push(scenario.id);
        say(`${scenario.id} failed: ${error instanceof Error ? error.stack : String(error)}`);
      }
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder);
    }
  } finally {
    clean();
  }
  if (failed.length === 0) return;
  say(`Without result: ${failed.join(', ')}`);
  process.exitCode = 1;
}

/** Prints a scenario, writes its JSON and, when asked to, its place in the documentation. */
function save(result: ScenarioResult, rounds: number): void {
  const machine = describeMachine();
  const conditions = { machine, rounds, quick: values.quick, seed: values.seed };
  mkdirSync(values.output, { recursive: true });
  const name = `${result.id.toLowerCase()}${values.quick ? '-quick' : ''}`;
  writeFileSync(join(values.output, `${name}.json`), `${JSON.stringify({ ...conditions, ...result }, null, 1)}\n`);
  process.stdout.write(`${toMarkdown(result)}\n${describeConditions(conditions)}\n\n`);
  if (values.document) document(result, describeConditions(conditions));
}

/** Replaces the section of this scenario in the page; it stands between two marks that name it. */
function document(result: ScenarioResult, conditions: string): void {
  const page = fileURLToPath(new URL('../docs/performance.md', import.meta.url));
  const text = readFileSync(page, 'utf8');
  const [from, to] = [`<!-- ${result.id} -->`, `<!-- end of ${result.id} -->`];
  const [start, end] = [text.indexOf(from), text.indexOf(to)];
  if (start < 0 || end < start) throw new Error(`${page} has no place for ${result.id}`);
  const section = `${from}\n${toMarkdown(result)}\nMeasured on ${conditions}.\n`;
  writeFileSync(page, text.slice(0, start) + section + text.slice(end));
}

function describeConditions({
  machine,
  rounds,
  seed,
}: {
  machine: ReturnType<typeof describeMachine>;
  rounds: number;
  seed: string;
}): string {
  const versions = Object.entries(machine.versions).map(([tool, version]) => `${tool} ${version}`);
  return `${machine.processors}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node.js ${machine.node}, ${versions.join(', ')}; ${rounds} rounds, seed "${seed}"`;
}
