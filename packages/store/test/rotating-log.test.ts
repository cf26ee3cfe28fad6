import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RotatingLog } from '../src/rotating-log.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'gwl-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('keeps the newest lines in a bounded number of bounded files', () => {
  const file = path.join(folder, 'log');
  const log = new RotatingLog(file, 100, 2);
  for (let i = 0; i < 40; i++) log.write(`line ${String(i).padStart(4, '0')}\n`);
  log.close();
  expect(readdirSync(folder).sort()).toEqual(['log', 'log.1', 'log.2']);
  expect(['log.2', 'log.1', 'log'].map((name) => readFileSync(path.join(folder, name), 'utf8')).join('')).toBe(
    Array.from({ length: 30 }, (_, i) => `line ${String(i + 10).padStart(4, '0')}\n`).join(''),
  );
});

it('goes on where an earlier process stopped', () => {
  const file = path.join(folder, 'log');
  for (const text of ['first\n', 'second\n']) {
    const log = new RotatingLog(file);
    log.write(text);
    log.close();
  }
  expect(readFileSync(file, 'utf8')).toBe('first\nsecond\n');
});
