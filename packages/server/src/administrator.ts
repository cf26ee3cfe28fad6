import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type Connection, ensureAdministrator, setPassword } from '@godwit/store';
import type { Logger } from 'pino';
import { type Config, localUrl } from './config.ts';
import { homePaths } from './home.ts';

/**
 * Sees to it that there is an administrator and that `openrc` and `clouds.yaml` in the home let its owner in.
 *
 * The password is written to the file before it counts, so that no crash leaves an account that nobody can enter. When the
 * file was removed, an embedded installation gets a new password (whoever owns the home owns the database); one with a
 * database of its own keeps what it has.
 */
export async function ensureAccess(connection: Connection, config: Config, log: Logger): Promise<void> {
  const files = homePaths(config.home);
  const known = existsSync(files.openrc) ? passwordOf(readFileSync(files.openrc, 'utf8')) : undefined;
  const password = known ?? randomBytes(18).toString('base64url');
  if (known === undefined && config.databaseUrl !== undefined && (await hasUsers(connection))) {
    log.info(`this home has no openrc; the administrator keeps the password that is known elsewhere`);
    return;
  }
  writeAccess(config, password);
  const administrator = await ensureAdministrator(connection.db, password);
  if (!administrator.created && known === undefined) {
    await setPassword(connection.db, administrator.userId, password);
    log.warn(`${files.openrc} was missing: the administrator has a new password, written there`);
  }
}

async function hasUsers(connection: Connection): Promise<boolean> {
  const row = await connection.db.selectFrom('user_account').select('id').limit(1).executeTakeFirst();
  return row !== undefined;
}

/** The password in the text of an openrc of ours. */
export function passwordOf(openrc: string): string | undefined {
  return /^export OS_PASSWORD='([^']+)'$/m.exec(openrc)?.[1];
}

function writeAccess(config: Config, password: string): void {
  const url = `${config.publicUrl ?? localUrl(config.listen)}/identity/v3`;
  const files = homePaths(config.home);
  writePrivate(
    files.openrc,
    `# The way into this Godwit: . ${files.openrc}
export OS_AUTH_URL='${url}'
export OS_IDENTITY_API_VERSION='3'
export OS_USERNAME='admin'
export OS_PASSWORD='${password}'
export OS_PROJECT_NAME='admin'
export OS_USER_DOMAIN_NAME='Default'
export OS_PROJECT_DOMAIN_NAME='Default'
`,
  );
  writePrivate(
    files.clouds,
    `# The way into this Godwit: OS_CLIENT_CONFIG_FILE=${files.clouds} OS_CLOUD=godwit
clouds:
  godwit:
    auth:
      auth_url: "${url}"
      username: "admin"
      password: "${password}"
      project_name: "admin"
      user_domain_name: "Default"
      project_domain_name: "Default"
    identity_api_version: 3
`,
  );
}

/** Whole or not at all, and never readable by others. */
function writePrivate(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) {
    chmodSync(file, 0o600);
    return;
  }
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600, flush: true });
  renameSync(draft, file);
}
