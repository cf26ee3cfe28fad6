import { execFile, spawn } from 'node:child_process';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type CopyCounters, LEAF_SIZE, seededRandom } from '../src/index.ts';
import { endOf, scratch } from './nbdkit.ts';

const WINDOW = 4_194_304;
const compare = promisify(execFile);

/** Runs the copying child and kills it some ms after its n-th commit; resolves with its counters, or null when it was killed. */
async function child(args: (string | number)[], commits: number, delayMs: number): Promise<CopyCounters | null> {
  const file = join(import.meta.dirname, 'copy-child.ts');
  const running = spawn(process.execPath, [file, ...args.map(String)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let problem = '';
  running.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    if (out.split('commit').length > commits) setTimeout(() => running.kill('SIGKILL'), delayMs);
  });
  running.stderr.on('data', (chunk: Buffer) => {
    problem += chunk.toString();
  });
  await endOf(running);
  if (running.signalCode === 'SIGKILL') return null;
  if (running.exitCode !== 0) throw new Error(problem);
  return JSON.parse(/counters (.*)/.exec(out)?.[1] ?? 'null');
}

describe('a copying process that is killed at random moments', () => {
  it('leaves, when it is started until it ends, equal files after each of three executions', async () => {
    await using folder = await scratch();
    const random = seededRandom(42);
    const size = 24 * 1_048_576 + 12_345;
    const source = join(folder.path, 'source');
    const target = join(folder.path, 'target');
    const content = Buffer.alloc(size);
    for (let at = 0; at < size; at += 4) content.writeUInt32LE(Math.floor(random() * 2 ** 32), Math.min(at, size - 4));
    await writeFile(source, content);
    await writeFile(target, Buffer.alloc(size, 0xaa));
    let fence = 1;
    let kills = 0;
    for (let execution = 1; execution <= 3; execution++) {
      let counters: CopyCounters | null = null;
      let tries = 0;
      while (!counters) {
        const commits = tries > 4 ? Number.POSITIVE_INFINITY : 1 + Math.floor(random() * 6);
        const args = [source, target, join(folder.path, 'store'), fence++, execution, size];
        counters = await child(args, commits, random() * 20);
        tries++;
      }
      kills += tries - 1;
      expect(counters.bytesResent).toBeLessThanOrEqual((tries - 1) * WINDOW);
      await compare('cmp', [source, target]);
      const file = await open(source, 'r+');
      for (let i = 0; i < 30; i++) {
        await file.write(
          Buffer.alloc(1_000, execution),
          0,
          1_000,
          Math.floor(random() * (size / LEAF_SIZE - 1)) * LEAF_SIZE,
        );
      }
      await file.close();
    }
    expect(kills).toBeGreaterThan(2);
  }, 120_000);
});
