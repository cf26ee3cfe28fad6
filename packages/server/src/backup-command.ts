import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { GodwitError } from '@godwit/domain';
import { migrateEngine } from '@godwit/engine';
import {
  type Aftermath,
  authenticate,
  type BackupKeys,
  backupDatabase,
  type Connection,
  connect,
  ensureDatabase,
  RESTORER,
  restoreDatabase,
  SecretBox,
  settleEventOrigin,
} from '@godwit/store';
import { passwordOf } from './administrator.ts';
import type { Config } from './config.ts';
import { homePaths, prepareHome } from './home.ts';
import { version } from './version.ts';

export interface BackupFlags {
  /** Replace what is there: a file, or what is in the database. */
  force: boolean;
  /** The keys too. */
  withKeys: boolean;
}

export interface RestoreFlags {
  force: boolean;
  dryRun: boolean;
  asIs: boolean;
}

/** `db backup FILE`: all of the database at one moment, while everything runs. */
export async function backup(config: Config, databaseUrl: string, file: string, flags: BackupFlags): Promise<void> {
  const paths = homePaths(config.home);
  const connection = connect(databaseUrl, { max: 1, applicationName: 'godwit-db' });
  try {
    const { key_ids, rows, taken_at } = await backupDatabase(connection, path.resolve(file), {
      godwit: version(),
      force: flags.force,
      ...(flags.withKeys && { keys: readKeys(paths) }),
      say,
    });
    say(`${file}: ${rows} rows, as they were at ${taken_at}`);
    if (flags.withKeys) say('The keys are in it: whoever has this file has every password that Godwit knows.');
    else if (key_ids.length > 0) {
      say(
        `The secrets in it are sealed by the key ${key_ids.join(', ')}, which is not in it: keep a copy of ${path.dirname(paths.secretKeys)} elsewhere, or nobody can open them.`,
      );
    }
  } finally {
    await connection.close();
  }
}

function readKeys(paths: ReturnType<typeof homePaths>): BackupKeys {
  SecretBox.load(paths.secretKeys);
  return {
    secrets: readFileSync(paths.secretKeys, 'utf8'),
    ...(existsSync(paths.receiptKey) && { receipt: readFileSync(paths.receiptKey, 'utf8') }),
  };
}

/** `db restore FILE`: sets the database to what it was. Everything else must be stopped. */
export async function restore(config: Config, databaseUrl: string, file: string, flags: RestoreFlags): Promise<void> {
  prepareHome(config.home);
  const paths = homePaths(config.home);
  if (config.databaseUrl === undefined) await ensureDatabase(databaseUrl);
  const connection = connect(databaseUrl, { max: 3, applicationName: RESTORER });
  try {
    const { aftermath, rows } = await restoreDatabase(connection, path.resolve(file), {
      ...flags,
      requireKeys: (ids, keys) => requireKeys(paths, ids, keys),
      also: async () => {
        await settleEventOrigin(connection.db, new Date());
        await migrateEngine(connection);
      },
      say,
    });
    if (aftermath === undefined) {
      say('Nothing was changed (--dry-run).');
      return;
    }
    say(`${rows} rows are back.`);
    if (config.auth === 'local') await forgetStaleAccess(connection, config);
    tell(aftermath, flags.asIs);
  } finally {
    await connection.close();
  }
}

function requireKeys(paths: ReturnType<typeof homePaths>, ids: readonly string[], keys: BackupKeys | undefined): void {
  if (keys !== undefined) {
    SecretBox.adopt(paths.secretKeys, keys.secrets);
    if (keys.receipt !== undefined && !existsSync(paths.receiptKey)) {
      mkdirSync(path.dirname(paths.receiptKey), { recursive: true, mode: 0o700 });
      writeFileSync(paths.receiptKey, keys.receipt, { mode: 0o600, flush: true });
    }
  }
  if (ids.length === 0) return;
  const secrets = SecretBox.load(paths.secretKeys);
  for (const id of ids) secrets.requireKey(id);
}

/** An openrc with a password of another time leads nowhere; a start writes a new one, with a new password. */
async function forgetStaleAccess({ db }: Connection, config: Config): Promise<void> {
  const { clouds, openrc } = homePaths(config.home);
  const password = existsSync(openrc) ? passwordOf(readFileSync(openrc, 'utf8')) : undefined;
  if (password === undefined || (await authenticate(db, { name: 'admin' }, password)) !== undefined) return;
  for (const file of [openrc, clouds]) rmSync(file, { force: true });
  say(
    config.databaseUrl === undefined
      ? `${openrc} held a later password and was removed: the next start gives the administrator a new one.`
      : `${openrc} held a later password and was removed: the administrator has the password of the time of the backup.`,
  );
}

function tell({ disks, endpoints, executions, kept }: Aftermath, asIs: boolean): void {
  for (const { action, id } of executions) say(`ended: execution ${id} of ${action}, which was under way`);
  if (asIs) {
    say('Taken as it is: on your word that nothing has run since the backup.');
    return;
  }
  for (const { disk, instance, target, transfer } of disks) {
    say(`forgotten: disk ${disk} of ${instance}, transfer ${transfer}: ${target}`);
  }
  for (const { endpoint_id, kind, name, state } of kept) {
    say(`kept: ${kind} ${name} (${state}) at endpoint ${endpoint_id}`);
  }
  if (disks.length > 0) say(`${disks.length} disks will be copied in full by the next execution of their transfers.`);
  if (kept.length > 0) {
    say(
      `${kept.length} things that were there at the backup are not removed by themselves any more: "godwit ledger list".`,
    );
  }
  if (endpoints.length > 0) {
    say(
      `What was made after the backup is not known. Look for names with "godwit" or "gw-" at: ${endpoints.map(({ name }) => name).join(', ')}.`,
    );
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Refuses a name that means something else. */
export function fileOf(words: readonly string[], command: string): string {
  const [file, ...more] = words;
  if (file === undefined || more.length > 0) {
    throw new GodwitError('CONFIG_INVALID', `"godwit ${command}"`, { reason: 'it takes one file name' });
  }
  return file;
}
