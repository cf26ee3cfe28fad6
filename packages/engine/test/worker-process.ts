// A worker as a process of its own: tests start it, kill it, and drive it to named points.
import { flushCompileCache } from 'node:module';
import path from 'node:path';
import { GodwitError } from '@godwit/domain';
import { connect, SecretBox } from '@godwit/store';
import { sql } from 'kysely';
import { pino } from 'pino';
import { ReceiptSigner } from '../src/receipt-signer.ts';
import { startWorker } from '../src/worker.ts';
import { folderProvider } from './folder-provider.ts';
import { trackedProvider } from './tracked-provider.ts';

/** What happens at a point, the first `times` times it is reached (default 1). */
export interface Stop {
  point: string;
  /** `kill`: the process dies by SIGKILL. `fail`: the step rejects for good. `busy`: it rejects in the passing way. `hang`: it waits for ever. `pause`: it waits until it is told to go on, deaf to all else. `lose`: as if the snapshot were gone. `offline`: a query meets no Postgres. */
  action: 'kill' | 'fail' | 'busy' | 'hang' | 'lose' | 'pause' | 'offline';
  times?: number;
}

export interface WorkerProcessOptions {
  databaseUrl: string;
  home: string;
  host: string;
  stops: Stop[];
  regions?: string[];
  copies?: number;
  pollMs?: number;
  heartbeat?: { everyMs?: number; limitMs?: number };
  standsStillMs?: number;
  retry?: { firstMs?: number; maxMs?: number; limitMs?: number };
}

const options = JSON.parse(process.argv[2] ?? '{}') as WorkerProcessOptions;
const stops = options.stops.map((stop) => ({ ...stop, left: stop.times ?? 1 }));

const paused = new Map<string, (() => void)[]>();

async function reach(point: string): Promise<void> {
  const stop = stops.find((one) => one.point === point && one.left > 0);
  if (stop === undefined) return;
  stop.left -= 1;
  process.send?.({ reached: point });
  if (stop.action === 'kill') {
    process.kill(process.pid, 'SIGKILL');
    await new Promise<never>(() => undefined);
  }
  if (stop.action === 'hang') await new Promise<never>(() => undefined);
  if (stop.action === 'pause') {
    await new Promise<void>((resolve) => paused.set(point, [...(paused.get(point) ?? []), resolve]));
    return;
  }
  if (stop.action === 'busy') throw new GodwitError('CONNECTION_FAILED', point, { reason: 'as the test asked' });
  if (stop.action === 'offline') {
    const nowhere = connect('postgres://nobody:none@127.0.0.1:1/none');
    await sql`select 1`.execute(nowhere.db).finally(() => nowhere.close());
  }
  if (stop.action === 'lose') throw new GodwitError('SNAPSHOT_LOST', point);
  throw new GodwitError('PLATFORM_ERROR', point, { reason: 'as the test asked' });
}

const worker = await startWorker({
  databaseUrl: options.databaseUrl,
  providers: { folder: async () => folderProvider, tracked: async () => trackedProvider },
  secrets: SecretBox.load(path.join(options.home, 'keys/secrets.json')),
  signer: ReceiptSigner.load(path.join(options.home, 'keys/receipt.pem')),
  workDir: path.join(options.home, 'run'),
  host: options.host,
  log: pino({ level: process.env.GODWIT_TEST_LOG ?? 'warn' }, pino.destination(2)),
  reach,
  ...(options.regions !== undefined && { regions: options.regions }),
  ...(options.copies !== undefined && { copies: options.copies }),
  ...(options.pollMs !== undefined && { pollMs: options.pollMs }),
  ...(options.heartbeat !== undefined && { heartbeat: options.heartbeat }),
  ...(options.standsStillMs !== undefined && { standsStillMs: options.standsStillMs }),
  ...(options.retry !== undefined && { retry: options.retry }),
});
process.send?.({ ready: worker.serviceId });
// Most of these processes are killed, and what is compiled is otherwise kept at an end in good order alone.
flushCompileCache();
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => void worker.stop());
process.on('message', (message: Stop | { goOn: string }) => {
  if ('goOn' in message) {
    for (const resolve of paused.get(message.goOn) ?? []) resolve();
    paused.delete(message.goOn);
    return;
  }
  const stop = message;
  stops.push({ ...stop, left: stop.times ?? 1 });
  process.send?.({ armed: stop.point });
});
const how = await worker.ended;
process.exit(how === 'stopped' ? 0 : 75);
