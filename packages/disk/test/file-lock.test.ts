import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lockFile } from '../src/file-lock.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gwl-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a locked file stays locked while its process is stopped, and no longer than it lives', async () => {
  const path = join(folder, 'lock');
  await writeFile(path, '');
  const holder: ChildProcess = spawn('flock', ['--no-fork', path, 'sh', '-c', 'echo locked; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(holder, 'exit');
  const file = await open(path, 'r');
  try {
    await once(holder.stdout!, 'data');
    holder.kill('SIGSTOP');
    expect(await lockFile(file.fd, 'shared')).toBe('held');
    holder.kill('SIGKILL');
    await ended;
    expect(await lockFile(file.fd, 'shared')).toBe('locked');
    const other = await open(path, 'r+');
    expect(await lockFile(other.fd, 'shared')).toBe('locked');
    expect(await lockFile(other.fd, 'exclusive')).toBe('held');
    await other.close();
  } finally {
    holder.kill('SIGKILL');
    await ended;
    await file.close();
  }
});
