// The program that runs on a minion. Standard input: one line of configuration, then a byte now and then as a sign of life.
// Standard output: one line of greeting or refusal. Everything ends with standard input.
import { createServer, type Socket } from 'node:net';
import { CompressionChoice } from '@godwit/disk/minion/compression-choice';
import { Device, type DeviceWish } from './device.ts';
import { type Service, serveConnection } from './nbd-server.ts';
import { RefusedError } from './refused.ts';
import { Slots } from './slots.ts';

interface Configuration {
  token: string;
  devices: DeviceWish[];
  allowFiles: boolean;
  /** How long a device may take to appear, ms. */
  waitMs: number;
  /** Silence on standard input after which the worker is taken for dead, ms. */
  silenceMs: number;
}

/** The largest read or write. */
const SLOT_BYTES = 524_288;
/** 32 MiB in all. */
const SLOTS = 64;
const MAX_CONFIGURATION = 1_048_576;
/** The devices may still have to be plugged in. */
const CONFIGURATION_MS = 1_800_000;

let line = '';
let watchdog: NodeJS.Timeout | null = null;

const end = (): never => process.exit(0);
const unconfigured = setTimeout(end, CONFIGURATION_MS);
process.stdin.on('end', end);
process.stdin.on('close', end);
process.stdin.on('error', end);
process.stdout.on('error', end);
process.stdin.on('data', (chunk: Buffer) => {
  if (watchdog !== null) {
    watchdog.refresh();
    return;
  }
  line += chunk.toString('utf8');
  if (line.length > MAX_CONFIGURATION) end();
  if (!line.includes('\n')) return;
  // Signs of life may have come along.
  const configuration = JSON.parse(line.slice(0, line.indexOf('\n'))) as Configuration;
  line = '';
  clearTimeout(unconfigured);
  watchdog = setTimeout(end, configuration.silenceMs);
  start(configuration).catch((error) => {
    const refusal =
      error instanceof RefusedError
        ? { code: error.code, device: error.device, reason: error.message }
        : { code: 'UNSUPPORTED', device: '', reason: error instanceof Error ? error.message : String(error) };
    process.stdout.write(`${JSON.stringify({ refusal })}\n`, () => process.exit(1));
  });
});

async function start(configuration: Configuration): Promise<void> {
  const devices = new Map<string, Device>();
  for (const wish of configuration.devices) {
    devices.set(wish.id, await Device.open(wish, configuration.allowFiles, configuration.waitMs));
  }
  const service: Service = {
    token: configuration.token,
    devices,
    slots: new Slots(SLOT_BYTES, SLOTS),
    compression: new CompressionChoice(),
  };
  const server = createServer((socket: Socket) => {
    socket.setNoDelay(true);
    void serveConnection(socket, service);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const told = Object.fromEntries([...devices].map(([id, { size, path }]) => [id, { size, path }]));
  process.stdout.write(`${JSON.stringify({ port, devices: told })}\n`);
}
