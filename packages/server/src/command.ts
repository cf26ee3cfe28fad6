import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { GodwitError } from '@godwit/domain';
import { embeddedUrl } from '@godwit/store/embedded-postgres';
import { RotatingLog } from '@godwit/store/rotating-log';
import type { Logger } from 'pino';
import { type Config, checkRegion, readConfig, SETTINGS_HELP } from './config.ts';
import { explainExit } from './exit.ts';
import { homePaths, prepareHome } from './home.ts';
import { createLog } from './log.ts';
import { isSupervised, receiveStart } from './supervised.ts';
import { DATABASE, supervise } from './supervisor.ts';

const HELP = `Usage: godwit server all                      everything: Postgres, API and one worker
       godwit server api                      the API alone
       godwit server worker [--region NAME]   a worker alone
       godwit db migrate                      bring the database up to date
       godwit db rotate-secrets               seal all secrets with a new key

Examples:
  godwit server all
  GODWIT_LISTEN=0.0.0.0:7000 DATABASE_URL=postgres://godwit:...@db/godwit godwit server api
  DATABASE_URL=postgres://godwit:...@db/godwit godwit server worker --region paris

Without DATABASE_URL, api, worker and db use the Postgres of a running "server all" with the same GODWIT_HOME.

${SETTINGS_HELP}
Exit codes: 0 ended as asked, 1 failed, 2 wrong usage or settings.
`;

/** A command: its words, and what it does; resolves with the exit code when the process shall end. */
type Command = (config: Config, program: string) => Promise<number>;

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
    await migrateDatabase(config, await databaseUrl(config), log('db', config));
    return 0;
  },
  'db rotate-secrets': async (config) => {
    const { rotateSecretKeys } = await import('./database-command.ts');
    await rotateSecretKeys(config, await databaseUrl(config), log('db', config));
    return 0;
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
  if (isSupervised()) return (await receiveStart()).databaseUrl;
  const url = config.databaseUrl ?? embeddedUrl(homePaths(config.home).postgres, DATABASE);
  if (url === undefined) {
    const reason = `it is not set, and no "godwit server all" has run with ${config.home}`;
    throw new GodwitError('CONFIG_INVALID', 'DATABASE_URL', { reason });
  }
  return url;
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
    } else if (arg.startsWith('-')) return usage(`unknown option ${arg}`);
    else words.push(arg);
  }
  if (words[0] === 'server') words.shift();
  const name = words.join(' ');
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) return usage(name === '' ? 'a command is missing' : `unknown command "${name}"`);
  if (region !== undefined && name !== 'worker') return usage('--region belongs to "worker"');
  try {
    const config = readConfig(process.env);
    if (region !== undefined) config.region = checkRegion('--region', region);
    // From here on it is in memory only: programs that this process starts shall not inherit it.
    delete process.env.DATABASE_URL;
    return await command(config, program);
  } catch (error) {
    const { text, code } = explainExit(error);
    process.stderr.write(`ERROR: ${text}\n`);
    return code;
  }
}
