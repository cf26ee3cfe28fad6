import { buildApi, WebhookDeliverer } from '@godwit/api';
import { GodwitError } from '@godwit/domain';
import { connectEngine } from '@godwit/engine';
import { connect, refuseNewer, requireKeys } from '@godwit/store';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { homePaths } from './home.ts';
import { identityOf } from './keystone/identity.ts';
import { readPolicies } from './keystone/settings.ts';
import { providerLoaders } from './providers.ts';
import { onEnd, sayReady } from './supervised.ts';
import { version } from './version.ts';
import { watchWaiting } from './waiting-watch.ts';

/** `server api`: serves until the process is asked to end. */
export async function runApi(config: Config, databaseUrl: string, log: Logger): Promise<never> {
  const connection = connect(databaseUrl, {
    applicationName: 'godwit-api',
    onLost: (error) => log.debug({ err: error }, 'a database connection was lost'),
  });
  const identity = identityOf(config);
  const engine = await connectEngine({ databaseUrl, log });
  const release = version();
  const app = await buildApi({
    connection,
    engine,
    providers: await Promise.all(Object.values(providerLoaders).map((load) => load())),
    secrets: identity.secrets,
    ...identity.deps,
    config: {
      version: release,
      policies: readPolicies(homePaths(config.home).policy),
      logFolder: homePaths(config.home).logs,
      ...(config.publicUrl !== undefined && { publicUrl: config.publicUrl }),
      trustedProxies: config.trustedProxies,
    },
    logger: log,
  });
  await refuseNewer(connection.db);
  await requireKeys(connection, homePaths(config.home).secretKeys);
  const webhooks = new WebhookDeliverer({ db: connection.db, secrets: identity.secrets, log, version: release });
  const unwatch = watchWaiting({ db: connection.db, engine, log });
  onEnd(
    async () => {
      unwatch();
      await webhooks.close();
      await app.close();
      await engine.close();
      await connection.close();
    },
    (error) => log.error({ err: error }, 'the API did not end in order'),
  );
  try {
    await app.listen(config.listen);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    const { host, port } = config.listen;
    if (error.code === 'EADDRINUSE') throw new GodwitError('LISTEN_IN_USE', `${host}:${port}`, {}, { cause: error });
    throw new GodwitError('CONFIG_INVALID', 'GODWIT_LISTEN', { reason: error.message }, { cause: error });
  }
  webhooks.start();
  sayReady();
  return new Promise<never>(() => undefined);
}
