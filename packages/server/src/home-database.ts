import { GodwitError } from '@godwit/domain';
import { embeddedUrl, startPostgres } from '@godwit/store/embedded-postgres';
import type { Config } from './config.ts';
import { homePaths, type Lock, prepareHome, takeLock } from './home.ts';

/** Database of Godwit in the embedded Postgres. */
export const DATABASE = 'godwit';

/**
 * URL of the database of these settings: the one they name, or that of a Postgres that another process runs.
 *
 * @throws GodwitError CONFIG_INVALID when there is neither
 */
export function homeDatabaseUrl(config: Config): string {
  const url = config.databaseUrl ?? embeddedUrl(homePaths(config.home).postgres, DATABASE);
  if (url === undefined) {
    const reason = `it is not set, and no "godwit server all" has run with ${config.home}`;
    throw new GodwitError('CONFIG_INVALID', 'DATABASE_URL', { reason });
  }
  return url;
}

/**
 * Runs `work` on the database of these settings; where it is embedded and no server runs, Postgres runs as long as that.
 *
 * @param create make a cluster where there is none yet
 * @throws GodwitError CONFIG_INVALID when there is none
 */
export async function withDatabase(
  config: Config,
  create: boolean,
  work: (url: string) => Promise<void>,
): Promise<void> {
  if (config.databaseUrl !== undefined) return work(config.databaseUrl);
  if (!create) homeDatabaseUrl(config);
  prepareHome(config.home);
  let lock: Lock;
  try {
    lock = takeLock(homePaths(config.home).lock, config.home);
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'HOME_IN_USE') return work(homeDatabaseUrl(config));
    throw error;
  }
  try {
    const port = config.postgresPort;
    const postgres = await startPostgres(homePaths(config.home).postgres, port === undefined ? {} : { port });
    try {
      await work(postgres.url(DATABASE));
    } finally {
      await postgres.stop();
    }
  } finally {
    lock.release();
  }
}
