import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { cpuSecondsOf } from './measure.ts';

/** A server that runs until stopped. */
export interface RunningServer {
  /** For `nbdcopy`, `qemu-img`: `nbd+unix:///?socket=...` or `nbd://127.0.0.1:port`. */
  uri: string;
  /** For the product. */
  transport: { unix: string } | { host: string; port: number };
  /** Processor seconds used so far. */
  cpu(): number;
  stop(): Promise<void>;
}

/** Serves a raw or qcow2 file by qemu-nbd on a Unix socket, or on TCP when `port` is given. */
export async function serveNbd(
  path: string,
  options: { socket: string; port?: number; readOnly?: boolean; format?: string; bitmap?: string },
): Promise<RunningServer> {
  const { socket, port } = options;
  const listen = port === undefined ? ['-k', socket] : ['-b', '127.0.0.1', '-p', String(port)];
  const argv = [
    '--persistent',
    '--shared=0',
    '--discard=unmap',
    '--cache=writeback',
    '-f',
    options.format ?? 'raw',
    ...(options.readOnly ? ['-r'] : []),
    ...(options.bitmap === undefined ? [] : ['-B', options.bitmap]),
    ...listen,
    path,
  ];
  const child = spawn('qemu-nbd', argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    said += data.toString('utf8');
  });
  const ready = port === undefined ? () => existsSync(socket) : () => reachable(port);
  for (let tries = 0; !(await ready()); tries += 1) {
    if (child.exitCode !== null || tries > 500) throw new Error(`qemu-nbd did not start: ${said}`);
    await pause(10);
  }
  return {
    uri: port === undefined ? `nbd+unix:///?socket=${socket}` : `nbd://127.0.0.1:${port}`,
    transport: port === undefined ? { unix: socket } : { host: '127.0.0.1', port },
    cpu: () => (child.pid === undefined ? 0 : cpuSecondsOf(child.pid)),
    stop: () => stopped(child),
  };
}

/** A slow link in front of a server. */
export interface Link {
  port: number;
  /** Bytes carried towards the server and back since the last call. */
  carried(): Promise<{ there: number; back: number }>;
  stop(): Promise<void>;
}

/** @param target port or Unix socket of the server behind it */
export async function startLink(target: string, rttMs: number, bytesPerSecond: number): Promise<Link> {
  const script = fileURLToPath(new URL('./link.ts', import.meta.url));
  const child = spawn(process.execPath, [script, '0', target, String(rttMs), String(bytesPerSecond)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const port = Number(await nextLine(lines));
  return {
    port,
    async carried() {
      const answer = nextLine(lines);
      child.stdin.write('\n');
      return JSON.parse(await answer) as { there: number; back: number };
    },
    async stop() {
      lines.close();
      await stopped(child);
    },
  };
}

async function nextLine(lines: Interface): Promise<string> {
  const [line] = (await once(lines, 'line')) as [string];
  return line;
}

async function reachable(port: number): Promise<boolean> {
  const { connect } = await import('node:net');
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const exited = once(child, 'exit').then(() => undefined);
  child.kill('SIGTERM');
  return exited;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
