import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { standBack } from '../src/niceness.ts';

const begun: ChildProcess[] = [];
afterEach(() => {
  for (const child of begun.splice(0)) child.kill('SIGKILL');
});

async function sleeper(detached: boolean): Promise<number> {
  const child = spawn('sleep', ['60'], { detached, stdio: 'ignore' });
  begun.push(child);
  await once(child, 'spawn');
  return child.pid ?? 0;
}

/** Niceness of the group of a session; undefined where the kernel has no such groups. */
function groupOf(pid: number): number | undefined {
  const file = `/proc/${pid}/autogroup`;
  return existsSync(file) ? Number(/nice (-?\d+)/.exec(readFileSync(file, 'utf8'))?.[1]) : undefined;
}

describe('a process that stands back', () => {
  it('does so with its session, which may be what is scheduled', async () => {
    const pid = await sleeper(true);
    const before = groupOf(pid);
    standBack(pid, 7);
    expect(getPriority(pid)).toBe(7);
    expect(groupOf(pid)).toBe(before === undefined ? undefined : 7);
  });

  it('leaves the session of others as it is', async () => {
    const pid = await sleeper(false);
    const before = groupOf(pid);
    standBack(pid, 7);
    expect(getPriority(pid)).toBe(7);
    expect(groupOf(pid)).toBe(before);
  });

  it('keeps its place for a niceness of 0', async () => {
    const pid = await sleeper(true);
    const before = getPriority(pid);
    standBack(pid, 0);
    expect(getPriority(pid)).toBe(before);
  });

  it('must exist', () => {
    expect(() => standBack(2 ** 22 + 1, 7)).toThrow(/ESRCH/);
  });
});
