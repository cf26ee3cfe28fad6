import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { AgentAddress } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import { agentArchive, LAST_FILE, packed } from './archive.ts';
import { writePrivate } from './private-folder.ts';
import { SshConnection, type SshHost } from './ssh.ts';

/** A device to serve: by path below `/dev`, or by serial number. */
export interface AgentDevice {
  /** Path of a block device there; links are followed. */
  path?: string;
  /** Serial number; platforms may show only its beginning. */
  serial?: string;
  readOnly: boolean;
}

export interface AgentRequest extends SshHost {
  /** By the id that the addresses are to have. */
  devices: Readonly<Record<string, AgentDevice>>;
  signal: AbortSignal;
  /** How long a minion that does not answer yet is called again, ms. Default 0. */
  waitMs?: number;
  /** How long a device may take to appear, ms. Default 30,000. */
  deviceWaitMs?: number;
  /** Regular files may be served too. Default false. */
  allowFiles?: boolean;
  /** Compress what travels where that is faster. Default true. */
  compress?: boolean;
  /** Called when the minion lets us in, while the agent is being stored there: plugs the devices in. A machine that still boots may not bear that. */
  plug?: () => Promise<void>;
}

/** An agent that serves. */
export interface Agent {
  /** By device id; plain data, good in any thread of this worker until the agent ends. */
  addresses: Record<string, AgentAddress>;
  /** Bytes by device id. */
  sizes: Record<string, number>;
  /** Public keys by which the host is known from now on. */
  hostKeys: readonly string[];
  /** Resolves when the agent has ended, whoever ended it. */
  ended: Promise<void>;
  /** Ends it. Idempotent. */
  close(): Promise<void>;
}

/** What the agent says first. */
interface Greeting {
  port?: number;
  devices?: Record<string, { size: number; path: string }>;
  refusal?: { code: 'NOT_FOUND' | 'FORBIDDEN' | 'CONFLICT' | 'UNSUPPORTED'; device: string; reason: string };
}

const DEVICE_WAIT_MS = 30_000;
/** A former agent may first have to end. */
const GREETING_MS = 40_000;
const PUSH_MS = 600_000;
const HEARTBEAT_MS = 5_000;
const SILENCE_MS = 30_000;
/** Threads for the agent's I/O. */
const THREADS = 16;

/**
 * Puts the agent on a minion, unless it is there, and starts it on the given devices. An agent of an earlier call that
 * writes to one of them is ended first. It ends with {@link Agent.close}, with this process and with its connection.
 *
 * @throws GodwitError CONNECTION_FAILED, AUTHENTICATION_FAILED, CONFLICT (another host key; a device in use there),
 *   NOT_FOUND (no such device), FORBIDDEN (not a block device; no rights), UNSUPPORTED (processor), PLATFORM_ERROR (it
 *   does not run there), CANCELED; whatever `plug` throws
 */
export async function pushAgent(request: AgentRequest): Promise<Agent> {
  const { signal } = request;
  const connection = await SshConnection.open(request, signal, request.waitMs);
  try {
    const plugging = Promise.resolve(request.plug?.());
    const starting = install(connection, request).then((place) => start(connection, request, place, plugging));
    // Both to their ends: nothing may be plugged in behind the back of a caller who has seen this fail.
    const [started, plugged] = await Promise.allSettled([starting, plugging]);
    if (plugged.status === 'rejected') throw plugged.reason;
    if (started.status === 'rejected') throw started.reason;
    return started.value;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

interface Place {
  /** Of the agent there, as the shell is to see it. */
  folder: string;
  /** Whether the user is root. */
  root: boolean;
}

/** Stores it there, unless it is there. */
async function install(connection: SshConnection, request: AgentRequest): Promise<Place> {
  const { signal, label } = request;
  const look = 'uname -m; id -u; command -v zstd >/dev/null 2>&1 && echo zstd || echo gzip; ls "$HOME/.godwit-agent"';
  const [machine = '', user = '', format = '', ...present] = (await connection.run(look, { signal })).stdout.split(
    '\n',
  );
  const archive = await agentArchive(machine, label);
  const folder = `"$HOME/.godwit-agent/${archive.hash}"`;
  if (!present.includes(archive.hash)) {
    const unpack = format === 'zstd' ? 'zstd -dcq' : 'gzip -dc';
    const script = [
      'set -e; umask 077; mkdir -p "$HOME/.godwit-agent"; cd "$HOME/.godwit-agent"',
      // What an older version left, and pushes that were cut off an hour ago.
      `find . -mindepth 1 -maxdepth 1 ! -name ${archive.hash} \\( ! -name 'new.*' -o -mmin +60 \\) -exec rm -rf {} +`,
      `new=$(mktemp -d new.XXXXXX); ${unpack} | tar -xf - -C "$new"; [ -f "$new/${LAST_FILE}" ]`,
      `if [ -d ${archive.hash} ]; then rm -rf "$new"; else mv "$new" ${archive.hash}; fi`,
    ].join('; ');
    const input = packed(archive, format === 'zstd' ? 'zstd' : 'gzip');
    const { code, stderr } = await connection.run(script, { signal, input, timeoutMs: PUSH_MS });
    if (code !== 0) throw failed(label, `the agent cannot be stored there: ${stderr.trim().slice(0, 300)}`);
  }
  return { folder, root: user === '0' };
}

/** Starts it while the devices are being plugged in; it is told of them when they are. */
async function start(
  connection: SshConnection,
  request: AgentRequest,
  { folder, root }: Place,
  plugging: Promise<void>,
): Promise<Agent> {
  const { signal, label } = request;
  const program = `env UV_THREADPOOL_SIZE=${THREADS} ${folder}/node ${folder}/main.js`;
  const child = connection.spawn(`exec ${root ? '' : 'sudo -n '}${program}`);
  const ended = Promise.race([exitOf(child), connection.ended]);
  let heart: NodeJS.Timeout | undefined;
  let closed = false;
  const close = async () => {
    closed = true;
    clearInterval(heart);
    // The end of its input ends it; by then its locks are free.
    child.stdin?.end();
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 2_000).unref())]);
    child.kill();
    await connection.close();
  };
  try {
    const token = randomBytes(32).toString('hex');
    const devices = Object.entries(request.devices).map(([id, device]) => ({ id, ...device }));
    const waitMs = request.deviceWaitMs ?? DEVICE_WAIT_MS;
    const configuration = { token, devices, allowFiles: request.allowFiles ?? false, waitMs, silenceMs: SILENCE_MS };
    const told = plugging.then(() => {
      if (closed) return;
      child.stdin?.write(`${JSON.stringify(configuration)}\n`);
      heart = setInterval(() => child.stdin?.write('.'), HEARTBEAT_MS);
      heart.unref();
    });
    const greeting = await greetingOf(child, label, told, waitMs * devices.length + GREETING_MS, signal);
    const socket = await connection.forward(greeting.port, signal);
    const tokenFile = writePrivate(join(connection.folder, 'token'), token);
    const compress = request.compress ?? true;
    const addresses: Record<string, AgentAddress> = {};
    const sizes: Record<string, number> = {};
    for (const { id, readOnly } of devices) {
      addresses[id] = { kind: 'agent', socket, tokenFile, device: id, readOnly, compress };
      sizes[id] = greeting.devices[id]?.size ?? 0;
    }
    ended.finally(() => clearInterval(heart));
    return { addresses, sizes, hostKeys: connection.hostKeys, ended, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The agent's first line, at most `timeoutMs` after it was told what to serve. */
function greetingOf(
  child: ChildProcess,
  label: string,
  told: Promise<void>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ port: number; devices: Record<string, { size: number }> }> {
  return new Promise((resolve, reject) => {
    let said = '';
    let complaint = '';
    const give = (error: GodwitError) => {
      finish();
      reject(error);
    };
    const onAbort = () => give(new GodwitError('CANCELED', label));
    let timer: NodeJS.Timeout | undefined;
    let finished = false;
    told.then(() => {
      if (!finished) timer = setTimeout(() => give(failed(label, 'the agent does not greet')), timeoutMs);
    }, give);
    const onEnd = () => give(failed(label, `the agent ended: ${complaint.trim().slice(0, 500) || 'it said nothing'}`));
    const onData = (chunk: Buffer) => {
      said += chunk.toString('utf8');
      if (said.length > 1_048_576) give(failed(label, 'the agent greets without end'));
      if (!said.includes('\n')) return;
      const greeting = parseGreeting(said);
      if (greeting?.refusal) {
        give(refusalOf(label, greeting.refusal));
      } else if (typeof greeting?.port === 'number' && typeof greeting.devices === 'object') {
        finish();
        resolve({ port: greeting.port, devices: greeting.devices });
      } else {
        give(failed(label, `the agent greets with ${said.slice(0, 200)}`));
      }
    };
    const finish = () => {
      finished = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      child.stdout?.off('data', onData).resume();
      child.off('close', onEnd);
    };
    child.stderr?.on('data', (chunk: Buffer) => {
      if (complaint.length < 4_096) complaint += chunk.toString('utf8');
    });
    child.stdout?.on('data', onData);
    child.once('close', onEnd);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function parseGreeting(said: string): Greeting | null {
  try {
    return JSON.parse(said.slice(0, said.indexOf('\n'))) as Greeting | null;
  } catch {
    return null;
  }
}

function refusalOf(label: string, refusal: NonNullable<Greeting['refusal']>): GodwitError {
  const object = refusal.device === '' ? label : `disk ${refusal.device} at ${label}`;
  const reason = String(refusal.reason).slice(0, 500);
  switch (refusal.code) {
    case 'NOT_FOUND':
      return new GodwitError('NOT_FOUND', `${object} (${reason})`);
    case 'FORBIDDEN':
    case 'CONFLICT':
      return new GodwitError(refusal.code, object, { reason });
    default:
      return failed(object, reason);
  }
}

function failed(object: string, reason: string): GodwitError {
  return new GodwitError('PLATFORM_ERROR', object, { reason });
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
}
