#!/usr/bin/env node
// Plain JavaScript that an old Node.js can parse: its first duty is to find a new enough one.

import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import Module from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** First release that runs TypeScript by stripping types without a flag. */
const NEEDED = [22, 18];

const self = realpathSync(fileURLToPath(import.meta.url));
const packages = join(dirname(self), '..', '..');

const [major, minor] = process.versions.node.split('.').map(Number);
if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) runHere();
else runWithNewerNode();

/** Commands that are programs of their own; the rest is the command line client. */
function program([noun, verb]) {
  if (noun === 'provider' && verb === 'validate') {
    return { main: join(packages, 'server', 'src', 'provider-validate.ts'), skip: 2 };
  }
  if (noun === 'server' || noun === 'db') return { main: join(packages, 'server', 'src', 'main.ts'), skip: 0 };
  if (noun === 'verify') return { main: join(packages, 'verify', 'src', 'main.ts'), skip: 1 };
  return { main: join(packages, 'cli', 'src', 'main.ts'), skip: 0 };
}

function runHere() {
  const args = process.argv.slice(2);
  const { main, skip } = program(args);
  // Compiled code of the client is kept: it halves the start. Not in the shared temporary folder, where others may write.
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  Module.enableCompileCache(join(cache, 'godwit'));
  process.argv = [process.argv[0], main, ...args.slice(skip)];
  Module.runMain(main);
}

function runWithNewerNode() {
  const node = findNode();
  if (node === undefined) {
    process.stderr.write(
      `ERROR: godwit needs Node.js ${NEEDED.join('.')} or newer, this is ${process.versions.node}.\n` +
        'Run "npm ci" in the Godwit folder (it brings its own Node.js) or install a newer Node.js.\n',
    );
    process.exitCode = 1;
    return;
  }
  const child = spawn(node, [self, ...process.argv.slice(2)], { stdio: 'inherit' });
  // The terminal sends SIGINT to both; the child decides what it means. The others reach this process alone.
  process.on('SIGINT', () => undefined);
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`ERROR: cannot start ${node}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code;
      return;
    }
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** The Node.js of this installation, in the nearest `node_modules` upwards. */
function findNode() {
  for (let folder = dirname(self); ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', '.bin', 'node');
    if (existsSync(candidate) && realpathSync(candidate) !== realpathSync(process.execPath)) return candidate;
    if (dirname(folder) === folder) return undefined;
  }
}
