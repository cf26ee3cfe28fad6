import { ReceiptSigner } from '@godwit/engine';
import { startWorker } from '@godwit/engine/worker';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { homePaths, workFolder } from './home.ts';
import { identityOf } from './keystone/identity.ts';
import { providerLoaders } from './providers.ts';
import { onEnd, sayReady } from './supervised.ts';
import { version } from './version.ts';

/** Exit code of a worker that lost touch with the database: it must be started anew. */
const EXIT_LOST = 75;

/** `server worker`: takes work until the process is asked to end. */
export async function runWorker(config: Config, databaseUrl: string, log: Logger): Promise<never> {
  const worker = await startWorker({
    databaseUrl,
    providers: providerLoaders,
    secrets: identityOf(config).secrets,
    signer: ReceiptSigner.load(homePaths(config.home).receiptKey),
    workDir: workFolder(config.home, config.region ?? 'worker'),
    log,
    version: version(),
    ...(config.region !== undefined && { regions: [config.region] }),
  });
  onEnd(
    () => worker.stop(),
    (error) => log.error({ err: error }, 'the worker did not end in order'),
  );
  sayReady();
  const how = await worker.ended;
  if (how === 'lost') {
    log.error('this worker was out of touch for too long and ends; its work goes on elsewhere');
    process.exit(EXIT_LOST);
  }
  return new Promise<never>(() => undefined);
}
