// `godwit provider validate ENDPOINT`: the conformance suite against a live endpoint. It speaks to the platform itself, so
// it runs where a worker does, with the home and database of one.
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { GodwitError, type JsonObject } from '@godwit/domain';
import type { Ledger, LedgerEntry, LedgerKind, Provider, ProviderContext } from '@godwit/provider';
import { type ConformanceResult, runConformance } from '@godwit/provider/conformance';
import * as store from '@godwit/store';
import { type Config, readConfig } from './config.ts';
import { explainExit } from './exit.ts';
import { homePaths, workFolder } from './home.ts';
import { homeDatabaseUrl } from './home-database.ts';
import { providerLoaders } from './providers.ts';

const HELP = `Usage: godwit provider validate ENDPOINT [options]

Proves that a platform keeps the promises that Godwit builds on: lists, snapshots that do not move, exact change tokens,
targets that hold what was written, nothing left behind. Without options it only reads lists.

  --instance NAME   take snapshots of this instance (they are removed again)
  --scratch         also create small disks and an instance that is never started (they are removed again)
  --network NAME    network for the scratch instance; default: it has no NIC
  --only TEXT       only checks whose name contains TEXT
  -f, --format      table (default) or json: one object per line

Run it on a worker's machine: it uses GODWIT_HOME and DATABASE_URL as a worker does.

Examples:
  godwit provider validate lab
  godwit provider validate lab --instance web01 --scratch -f json

Exit codes: 0 every check passed or does not apply, 1 one failed, 2 wrong usage.
`;

interface Options {
  instance?: string;
  scratch: boolean;
  network?: string;
  only?: string;
  format: 'table' | 'json';
}

async function main(argv: string[]): Promise<number> {
  let parsed: { endpoint: string; options: Options } | 'help';
  try {
    parsed = readArguments(argv);
  } catch (error) {
    process.stderr.write(`ERROR: ${error instanceof Error ? error.message : String(error)}\nTry "--help".\n`);
    return 2;
  }
  if (parsed === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  try {
    return await validate(readConfig(process.env), parsed.endpoint, parsed.options);
  } catch (error) {
    const { text, code } = explainExit(error);
    process.stderr.write(`ERROR: ${text}\n`);
    return code;
  }
}

function readArguments(argv: string[]): { endpoint: string; options: Options } | 'help' {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      instance: { type: 'string' },
      scratch: { type: 'boolean', default: false },
      network: { type: 'string' },
      only: { type: 'string' },
      format: { type: 'string', short: 'f', default: 'table' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const [endpoint, ...more] = positionals;
  if (endpoint === undefined || more.length > 0) throw new Error('One endpoint is expected, by id or name.');
  const { format, scratch, instance, network, only } = values;
  if (format !== 'table' && format !== 'json') throw new Error(`"${format}" is none of table, json.`);
  const given = Object.entries({ instance, network, only }).filter(([, value]) => value !== undefined);
  return { endpoint, options: { scratch, format, ...Object.fromEntries(given) } };
}

async function validate(config: Config, name: string, options: Options): Promise<number> {
  const url = homeDatabaseUrl(config);
  // Programs that the provider starts shall not inherit it.
  delete process.env.DATABASE_URL;
  const connection = store.connect(url, { max: 2, applicationName: 'godwit-validate' });
  const stop = new AbortController();
  const workDir = path.join(workFolder(config.home, 'validate'), String(process.pid));
  mkdirSync(workDir, { recursive: true, mode: 0o700 });
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  try {
    const { db } = connection;
    const endpoint = await findEndpoint(db, name);
    const provider = await loadProvider(endpoint.type);
    const secrets = store.SecretBox.load(homePaths(config.home).secretKeys);
    const connectionInfo = await store.openConnectionInfo(db, secrets, endpoint.id);
    const ledger = ledgerOf(db, endpoint);
    const context = (overrides: { signal: AbortSignal; connectionInfo?: JsonObject }): ProviderContext => ({
      endpoint: `endpoint ${endpoint.name}`,
      connectionInfo,
      ledger,
      workDir,
      progress: () => undefined,
      ...overrides,
    });
    await removeLeftovers(db, endpoint, (entry) => provider.remove(context({ signal: stop.signal }), entry));
    const { instance, scratch, network, only, format } = options;
    const wishes = Object.entries({ instance, network, only }).filter(([, value]) => value !== undefined);
    const results = runConformance(provider, context, { scratch, signal: stop.signal, ...Object.fromEntries(wishes) });
    return await print(results, format);
  } finally {
    rmSync(workDir, { recursive: true, force: true });
    await connection.close();
  }
}

async function findEndpoint(db: store.Db, idOrName: string): Promise<store.PublicEndpoint> {
  const all = await store.listEndpoints(db, undefined);
  const found = all.filter((endpoint) => endpoint.id === idOrName || endpoint.name === idOrName);
  const [only, second] = found;
  if (only === undefined) throw new GodwitError('NOT_FOUND', `Endpoint ${idOrName}`);
  if (second !== undefined) {
    throw new GodwitError('INVALID_INPUT', 'ENDPOINT', {
      reason: `${found.length} endpoints are named ${idOrName}: name it by its id`,
    });
  }
  return only;
}

async function loadProvider(name: string): Promise<Provider> {
  const load = Object.hasOwn(providerLoaders, name) ? providerLoaders[name] : undefined;
  if (load === undefined) throw new GodwitError('UNKNOWN_PROVIDER', name);
  return load();
}

/**
 * A ledger of no execution, so that the reaper leaves it alone while the checks run; what a killed run has left is removed
 * by the next one.
 */
function ledgerOf(db: store.Db, endpoint: store.PublicEndpoint): Ledger {
  const owner = { projectId: endpoint.project_id, endpointId: endpoint.id };
  return {
    intend: async (kind, name, handle) => {
      const row = await store.intendLedger(db, owner, { kind, name, handle, keep: 'execution' });
      return { id: row.id, kind, name: row.name, handle: row.handle };
    },
    made: (entry, handle) => store.markMade(db, entry.id, handle),
    removed: async (kind, name) => {
      const row = await store.findLedger(db, endpoint.id, kind, name);
      if (row !== undefined) await store.markRemoved(db, row.id);
    },
  };
}

async function removeLeftovers(
  db: store.Db,
  endpoint: store.PublicEndpoint,
  remove: (entry: LedgerEntry) => Promise<void>,
): Promise<void> {
  const entries = await store.listLedger(db, undefined, { endpointId: endpoint.id, keep: 'execution' });
  for (const row of entries.filter((entry) => entry.execution_id === null)) {
    await remove({ id: row.id, kind: row.kind as LedgerKind, name: row.name, handle: row.handle });
    await store.markRemoved(db, row.id);
  }
}

const WORDS = { passed: 'passed', failed: 'FAILED', not_applicable: 'not applicable' } as const;

async function print(results: AsyncIterable<ConformanceResult>, format: Options['format']): Promise<number> {
  const count = { passed: 0, failed: 0, not_applicable: 0 };
  for await (const result of results) {
    count[result.status] += 1;
    const line = `${WORDS[result.status].padEnd(14)} ${result.name} (${result.seconds.toFixed(1)} s): ${result.detail}`;
    process.stdout.write(`${format === 'json' ? JSON.stringify(result) : line}\n`);
  }
  const summary = `${count.passed} passed, ${count.failed} failed, ${count.not_applicable} not applicable`;
  process.stderr.write(`${summary}\n`);
  return count.failed > 0 ? 1 : 0;
}

process.exit(await main(process.argv.slice(2)));
