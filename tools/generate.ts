// Writes what is derived from the sources: the client's types, docs/errors.md, docs/states.md.
//   npm run generate             write
//   npm run generate -- --check  write nothing; exit 1 and name what is stale
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { apiDocument } from '@godwit/api';
import { clientTypes } from '../packages/client/generate-types.ts';
import { errorPage } from './error-page.ts';
import { statePage } from './state-page.ts';

const root = path.join(import.meta.dirname, '..');
const check = process.argv.includes('--check');

const { version } = JSON.parse(readFileSync(path.join(root, 'packages/api/package.json'), 'utf8')) as {
  version: string;
};
const document = await apiDocument(version);
const files: Record<string, string> = {
  'packages/client/src/generated/openapi.json': `${JSON.stringify(document, null, 2)}\n`,
  'packages/client/src/generated/schema.ts': await clientTypes(document),
  'docs/errors.md': errorPage(),
  'docs/states.md': statePage(),
};

const stale = Object.entries(files).filter(([name, text]) => current(name) !== text);
for (const [name, text] of stale) {
  if (check) {
    console.error(`${name} is stale: run "npm run generate" and commit it`);
  } else {
    const file = path.join(root, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`wrote ${name}`);
  }
}
if (stale.length === 0) console.log(`${Object.keys(files).length} generated files are up to date`);
process.exitCode = check && stale.length > 0 ? 1 : 0;

/** Undefined when it does not exist. */
function current(name: string): string | undefined {
  try {
    return readFileSync(path.join(root, name), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
