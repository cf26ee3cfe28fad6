import { type ChildProcess, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join, resolve as resolvePath } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import type { NbdAddress } from './disk-address.ts';
import type { ImageFormat } from './image-format.ts';
import { type ImageSlice, imageArguments } from './image-source.ts';
import { isImageLocked, qemuError } from './qemu-error.ts';
import { makeSocketFolder, SOCKET_NAME } from './socket-folder.ts';
import { childEnvironment, findTool, needTool } from './tool.ts';

export interface ServeImageOptions {
  /** The image file or block device. */
  path: string;
  /** Never guessed: a guest can write a header of another format into its raw disk. */
  format: ImageFormat;
  readOnly: boolean;
  /** The image is only this part of the file. Default: all of it. */
  slice?: ImageSlice;
  /** Name for errors. Default: the path. */
  label?: string;
  /** Persistent dirty bitmap to serve as `qemu:dirty-bitmap:NAME`. */
  bitmap?: string;
  /** Export name. Default ''. */
  export?: string;
  /** Folder for the socket; it must be short (a socket path holds 107 bytes). Default: the system's. */
  workDir?: string;
  /** Connections at once. Default 8. */
  shared?: number;
  /** qemu's cache mode. Default `writeback`: flushes decide what is stable. */
  cache?: 'writeback' | 'none' | 'unsafe';
  /** qemu's asynchronous I/O. Default `threads`. */
  aio?: 'threads' | 'io_uring' | 'native';
  /** Turns written zeroes into holes. Default `off`: the copy engine sends zeroes as zeroes. */
  detectZeroes?: 'off' | 'on' | 'unmap';
  /** False: opens the image although another process of ours has it open. Default true. */
  lock?: boolean;
  /** How long a lock that a dying predecessor still holds is waited for, ms. Default 10,000. */
  lockWaitMs?: number;
}

/** A running qemu-nbd. */
export interface ServedImage {
  readonly address: NbdAddress;
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Ends it; data written is handed to the kernel, bitmaps are stored. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const STOP_MS = 10_000;

/**
 * Serves an image by qemu-nbd on a unix socket that only this user can reach. The server dies with the thread that
 * started it, where `setpriv` is installed.
 *
 * @throws GodwitError TOOL_MISSING, NOT_FOUND, DISK_CORRUPT, CONFLICT (locked), FORBIDDEN, CANCELED
 */
export async function serveImage(options: ServeImageOptions, signal?: AbortSignal): Promise<ServedImage> {
  const label = options.label ?? options.path;
  const folder = await makeSocketFolder(options.workDir).catch((error) => {
    throw GodwitError.wrap(error, 'CONNECTION_FAILED', label);
  });
  const socket = join(folder, SOCKET_NAME);
  const deadline = performance.now() + (options.lockWaitMs ?? 10_000);
  try {
    const command = await commandLine(options, socket, label);
    for (;;) {
      const server = await start(command, socket, label, signal);
      if (server.started) return serving(server.child, server.ended, socket, folder, options);
      if (!isImageLocked(server.stderr) || performance.now() > deadline) {
        throw qemuError(server.stderr, label, options.path, options.format);
      }
      await sleep(100);
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function commandLine(options: ServeImageOptions, socket: string, label: string): Promise<string[]> {
  const command = [await needTool('qemu-nbd', label)];
  const setpriv = await findTool('setpriv');
  if (setpriv !== null) command.unshift(setpriv, '--pdeathsig', 'KILL', '--');
  const path = resolvePath(options.path);
  command.push(
    `--socket=${socket}`,
    '--persistent',
    `--shared=${options.shared ?? 8}`,
    `--cache=${options.cache ?? 'writeback'}`,
    `--aio=${options.aio ?? 'threads'}`,
    '--discard=unmap',
    `--detect-zeroes=${options.detectZeroes ?? 'off'}`,
  );
  if (options.export) command.push(`--export-name=${options.export}`);
  if (options.readOnly) command.push('--read-only');
  if (options.bitmap) command.push(`--bitmap=${options.bitmap}`);
  const { slice, lock = true } = options;
  command.push(...imageArguments(path, options.format, { slice, lock }));
  return command;
}

type Started = { started: true; child: ChildProcess; ended: Promise<void> } | { started: false; stderr: string };

/** Starts it and waits until it greets, which it does once the image is open. */
async function start(
  command: string[],
  socket: string,
  label: string,
  signal: AbortSignal | undefined,
): Promise<Started> {
  if (signal?.aborted) throw new GodwitError('CANCELED', label);
  const child = spawn(command[0]!, command.slice(1), { env: childEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < 65_536) stderr += chunk.toString('utf8');
  });
  let running = true;
  const ended = new Promise<void>((resolve) => {
    const onEnd = () => {
      running = false;
      resolve();
    };
    child.once('close', onEnd);
    child.once('error', (error) => {
      stderr += error.message;
      onEnd();
    });
  });
  const onAbort = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', onAbort);
  try {
    while (running) {
      if (await greets(socket)) return { started: true, child, ended };
      await sleep(5);
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
  if (signal?.aborted) throw new GodwitError('CANCELED', label);
  return { started: false, stderr };
}

/** True when an NBD server answers there. */
function greets(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once('data', () => {
      resolve(true);
      probe.destroy();
    });
    probe.once('error', () => resolve(false));
    probe.once('close', () => resolve(false));
  });
}

function serving(
  child: ChildProcess,
  ended: Promise<void>,
  socket: string,
  folder: string,
  options: ServeImageOptions,
): ServedImage {
  let closing: Promise<void> | null = null;
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
    await rm(folder, { recursive: true, force: true });
  };
  const close = () => {
    closing ??= stop();
    return closing;
  };
  const address: NbdAddress = {
    kind: 'nbd',
    transport: { unix: socket },
    export: options.export ?? '',
    readOnly: options.readOnly,
    ...(options.bitmap ? { changedContext: `qemu:dirty-bitmap:${options.bitmap}` } : {}),
  };
  return { address, pid: child.pid!, ended, close, [Symbol.asyncDispose]: close };
}
