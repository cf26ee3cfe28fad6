// A program for tests: makes a cluster, then fills the file system that it lies on.
import { closeSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { startPostgres } from '../src/embedded-postgres.ts';

const folder = process.argv[2] ?? '';
const postgres = await startPostgres(folder);
await postgres.stop();
const ballast = openSync(path.join(folder, 'ballast'), 'w');
const block = Buffer.alloc(65_536, 1);
try {
  for (;;) writeSync(ballast, block);
} catch (error) {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
}
closeSync(ballast);
