import { migrateEngine } from '@godwit/engine';
import { type Connection, connect, ensureDatabase, migrate, requireKeys, rotateSecrets } from '@godwit/store';
import type { Logger } from 'pino';
import { ensureAccess } from './administrator.ts';
import type { Config } from './config.ts';
import { homePaths, prepareHome } from './home.ts';

/** `db migrate`: the schema, the key file, the administrator and the way in. Safe to run at any time, any number at once. */
export async function migrateDatabase(config: Config, databaseUrl: string, log: Logger): Promise<void> {
  prepareHome(config.home);
  if (config.databaseUrl === undefined) await ensureDatabase(databaseUrl);
  await withConnection(databaseUrl, async (connection) => {
    const ran = await migrate(connection, () => migrateEngine(connection, log));
    if (ran.length > 0) log.info({ migrations: ran }, 'the database was brought up to date');
    await requireKeys(connection, homePaths(config.home).secretKeys);
    // With another identity service nobody signs in here, and an openrc would lead astray.
    if (config.auth === 'local') await ensureAccess(connection, config, log);
  });
}

/** `db rotate-secrets`: a new key, and everything sealed with it. */
export async function rotateSecretKeys(config: Config, databaseUrl: string, log: Logger): Promise<void> {
  await withConnection(databaseUrl, async (connection) => {
    const { keyId, resealed } = await rotateSecrets(connection, homePaths(config.home).secretKeys);
    log.info({ keyId, resealed }, 'all secrets are sealed with a new key');
  });
}

async function withConnection(url: string, work: (connection: Connection) => Promise<void>): Promise<void> {
  const connection = connect(url, { max: 3, applicationName: 'godwit-db' });
  try {
    await work(connection);
  } finally {
    await connection.close();
  }
}
