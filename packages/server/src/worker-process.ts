import { startWorker } from '@godwit/engine';
import { SecretBox } from '@godwit/store';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { homePaths, workFolder } from './home.ts';
import { providerLoaders } from './providers.ts';
import { onEnd, sayReady } from './supervised.ts';

/** `server worker`: takes work until the process is asked to end. */
export async function runWorker(config: Config, databaseUrl: string, log: Logger): Promise<never> {
  const worker = await startWorker({
    databaseUrl,
    providers: providerLoaders,
    secrets: SecretBox.load(homePaths(config.home).secretKeys),
    workDir: workFolder(config.home, config.region ?? 'worker'),
    log,
    ...(config.region !== undefined && { region: config.region }),
  });
  onEnd(
    () => worker.stop(),
    (error) => log.error({ err: error }, 'the worker did not end in order'),
  );
  sayReady();
  return new Promise<never>(() => undefined);
}
