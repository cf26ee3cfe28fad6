import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareHome, takeLock, workFolder } from '../src/home.ts';

let folder = '';
let file = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'gwh-'));
  file = path.join(folder, 'lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the home', () => {
  it('is for its owner alone, even when it was not before', () => {
    const home = path.join(folder, 'a', 'b');
    mkdirSync(home, { recursive: true, mode: 0o755 });
    prepareHome(home);
    expect(statSync(home).mode & 0o777).toBe(0o700);
    const fresh = path.join(folder, 'fresh');
    prepareHome(fresh);
    expect(statSync(fresh).mode & 0o777).toBe(0o700);
  });

  it('that cannot be made is a wrong setting', () => {
    writeFileSync(file, '');
    expect(() => prepareHome(path.join(file, 'home'))).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('has a work folder in which a socket path fits, however deep it lies', () => {
    const near = workFolder(folder, 'worker');
    expect(near.startsWith(folder)).toBe(true);
    const deep = workFolder(path.join(folder, 'x'.repeat(90)), 'worker');
    expect(Buffer.byteLength(deep)).toBeLessThanOrEqual(75);
    expect(statSync(deep).mode & 0o777).toBe(0o700);
    rmSync(deep, { recursive: true });
  });
});

describe('the lock', () => {
  it('is held by one, who is named to others, until it is released', () => {
    const lock = takeLock(file, 'home');
    expect(() => takeLock(file, 'home')).toThrow(
      expect.objectContaining({ code: 'HOME_IN_USE', details: { pid: process.pid } }),
    );
    lock.release();
    takeLock(file, 'home').release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('of a killed process does not count, nor one whose pid another process has now', async () => {
    const program = `import { takeLock } from ${JSON.stringify(path.join(import.meta.dirname, '../src/home.ts'))};
      takeLock(${JSON.stringify(file)}, 'home'); console.log('held'); setInterval(() => {}, 1e6);`;
    const script = path.join(folder, 'hold.ts');
    writeFileSync(script, program);
    const holder = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    expect(() => takeLock(file, 'home')).toThrow(expect.objectContaining({ code: 'HOME_IN_USE' }));
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    takeLock(file, 'home').release();
    writeFileSync(file, `${process.pid} 12345\n`);
    takeLock(file, 'home').release();
    writeFileSync(file, 'nonsense');
    takeLock(file, 'home').release();
  });

  it('that was left behind goes to exactly one of many who want it at once', () => {
    writeFileSync(file, '999999999 1\n');
    const all = path.join(folder, 'said');
    // Who has it keeps it until all five have spoken: a lock of one that has ended would be free again.
    const program = `import { appendFileSync, readFileSync } from 'node:fs';
      import { takeLock } from ${JSON.stringify(path.join(import.meta.dirname, '../src/home.ts'))};
      const all = ${JSON.stringify(all)};
      const say = (word) => { console.log(word); appendFileSync(all, word + '\\n'); };
      try {
        takeLock(${JSON.stringify(file)}, 'home');
        say('mine');
        const wait = setInterval(() => readFileSync(all, 'utf8').split('\\n').length > 5 && clearInterval(wait), 10);
      } catch (error) { say(error.code); }`;
    const script = path.join(folder, 'want.ts');
    writeFileSync(script, program);
    const run = spawnSync('sh', ['-c', 'for i in 1 2 3 4 5; do "$0" "$1" & done; wait', process.execPath, script], {
      encoding: 'utf8',
    });
    const said = run.stdout.trim().split('\n').sort();
    expect(said).toEqual(['HOME_IN_USE', 'HOME_IN_USE', 'HOME_IN_USE', 'HOME_IN_USE', 'mine']);
    expect(readFileSync(file, 'utf8')).not.toContain('999999999');
  });
});
