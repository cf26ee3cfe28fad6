import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { RotatingLog } from '@godwit/store/rotating-log';
import type { Logger } from 'pino';
import { type Config, checkRegion, readConfig, SETTINGS_HELP } from './config.ts';
import { explainExit } from './exit.ts';
import { homePaths, prepareHome } from './home.ts';
import { homeDatabaseUrl, withDatabase } from './home-database.ts';
import { createLog } from './log.ts';
import { isSupervised, receiveStart } from './supervised.ts';
import { supervise } from './supervisor.ts';

const HELP = `Usage: godwit server all                      everything: Postgres, API and one worker
       godwit server api                      the API alone
       godwit server worker [--region NAME]   a worker alone
       godwit db migrate                      bring the database up to date
       godwit db backup FILE [--with-keys] [--force]
                                              write all of it to a file, while everything runs
       godwit db restore FILE [--dry-run] [--force] [--as-is]
                                              set a database to a backup; everything else must be stopped
       godwit db rotate-secrets               seal all secrets with a new key

Examples:
  godwit server all
  GODWIT_LISTEN=0.0.0.0:7000 DATABASE_URL=postgres://godwit:...@db/godwit godwit server api
  DATABASE_URL=postgres://godwit:...@db/godwit godwit server worker --region paris
  godwit db backup /srv/backup/godwit-2026-11-21
  godwit db restore /srv/backup/godwit-2026-11-21 --dry-run

Without DATABASE_URL, api, worker and db use the Postgres of a running "server all" with the same GODWIT_HOME; db starts
it for itself where none runs.

  --with-keys  (backup)   the keys of GODWIT_HOME/keys go into the file: it opens every secret then
  --force      (backup)   replace the file; (restore) replace what is in the database
  --dry-run    (restore)  look at the file and the database, change nothing
  --as-is      (restore)  on your word that nothing has run since the backup: disks are not copied anew

${SETTINGS_HELP}
Exit codes: 0 ended as asked, 1 failed, 2 wrong usage or settings.
`;

/** What stands behind the words of a command. */
interface Rest {
  /** Words after those of the command. */
  words: string[];
  switches: ReadonlySet<string>;
}

/** A command: its words, and what it does; resolves with the exit code when the process shall end. */
type Command = (config: Config, program: string, rest: Rest) => Promise<number>;

/** Switches of the commands that have any. */
const SWITCHES: Readonly<Record<string, readonly string[]>> = {
  'db backup': ['--with-keys', '--force'],
  'db restore': ['--dry-run', '--force', '--as-is'],
};

const commands: Readonly<Record<string, Command>> = {
  all: (config, program) => supervise(config, log('server', config), program),
  api: async (config) => {
    const { runApi } = await import('./api-process.ts');
    return runApi(config, await databaseUrl(config), log('api', config));
  },
  worker: async (config) => {
    const { runWorker } = await import('./worker-process.ts');
    return runWorker(config, await databaseUrl(config), log('worker', config));
  },
  'db migrate': async (config) => {
    const { migrateDatabase } = await import('./database-command.ts');
    return onDatabase(config, (url) => migrateDatabase(config, url, log('db', config)));
  },
  'db rotate-secrets': async (config) => {
    const { rotateSecretKeys } = await import('./database-command.ts');
    return onDatabase(config, (url) => rotateSecretKeys(config, url, log('db', config)));
  },
  'db backup': async (config, _, { switches, words }) => {
    const { backup, fileOf } = await import('./backup-command.ts');
    const file = fileOf(words, 'db backup');
    const flags = { force: switches.has('--force'), withKeys: switches.has('--with-keys') };
    return onDatabase(config, (url) => backup(config, url, file, flags));
  },
  'db restore': async (config, _, { switches, words }) => {
    const { fileOf, restore } = await import('./backup-command.ts');
    const file = fileOf(words, 'db restore');
    const [force, dryRun, asIs] = ['--force', '--dry-run', '--as-is'].map((name) => switches.has(name));
    const flags = { force: force === true, dryRun: dryRun === true, asIs: asIs === true };
    return onDatabase(config, (url) => restore(config, url, file, flags), true);
  },
};

/** Also kept in the home, where the API reads it for those who may. */
function log(name: string, config: Config): Logger {
  const { logs } = homePaths(config.home);
  prepareHome(config.home);
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const file = new RotatingLog(path.join(logs, `${name}.log`));
  return createLog({ name, level: config.logLevel, keep: (line) => file.write(line) });
}

async function databaseUrl(config: Config): Promise<string> {
  return isSupervised() ? (await receiveStart()).databaseUrl : homeDatabaseUrl(config);
}

/** Runs a command of `db` on the database, wherever it is. */
async function onDatabase(config: Config, work: (url: string) => Promise<void>, create = false): Promise<number> {
  if (isSupervised()) await work((await receiveStart()).databaseUrl);
  else await withDatabase(config, create, work);
  return 0;
}

function usage(message: string): number {
  process.stderr.write(`ERROR: ${message}\n${HELP.slice(0, HELP.indexOf('\n\n'))}\nSee "godwit server --help".\n`);
  return 2;
}

/**
 * Runs the command that the words name.
 *
 * @param program path of the program, to start parts of it as children
 * @returns the exit code: 0 ended as asked, 1 failed, 2 wrong usage or settings
 */
export async function runCommand(program: string, argv: string[]): Promise<number> {
  const words: string[] = [];
  const switches = new Set<string>();
  let region: string | undefined;
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i]!;
    if (arg === '--help' || arg === '-h') {
      process.stdout.write(HELP);
      return 0;
    }
    if (arg === '--region' || arg.startsWith('--region=')) {
      region = arg === '--region' ? argv[++i] : arg.slice('--region='.length);
      if (region === undefined) return usage('--region needs a name');
    } else if (arg.startsWith('-')) switches.add(arg);
    else words.push(arg);
  }
  if (words[0] === 'server') words.shift();
  const name = words.splice(0, words[0] === 'db' ? 2 : 1).join(' ');
  const unknown = [...switches].find((option) => !SWITCHES[name]?.includes(option));
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) return usage(name === '' ? 'a command is missing' : `unknown command "${name}"`);
  if (unknown !== undefined) {
    const known = SWITCHES[name];
    return usage(`unknown option ${unknown}${known === undefined ? '' : `; "${name}" has ${known.join(', ')}`}`);
  }
  if (words.length > 0 && SWITCHES[name] === undefined) return usage(`unknown command "${name} ${words.join(' ')}"`);
  if (region !== undefined && name !== 'worker') return usage('--region belongs to "worker"');
  try {
    const config = readConfig(process.env);
    if (region !== undefined) config.region = checkRegion('--region', region);
    // From here on it is in memory only: programs that this process starts shall not inherit it.
    delete process.env.DATABASE_URL;
    return await command(config, program, { words, switches });
  } catch (error) {
    const { text, code } = explainExit(error);
    process.stderr.write(`ERROR: ${text}\n`);
    return code;
  }
}
