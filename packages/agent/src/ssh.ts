import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { findTool, needTool, runTool, type ToolResult } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import { makePrivateFolder, writePrivate } from './private-folder.ts';
import { opensshKey } from './private-key.ts';

/** A machine that is reached by SSH, and how it is known. */
export interface SshHost {
  /** Name or address. */
  host: string;
  /** Default 22. */
  port?: number;
  user: string;
  /** The key itself (OpenSSH or PKCS #8), or the file that holds it. Without a passphrase. */
  privateKey: string | { file: string };
  /**
   * Public keys of the host (`ssh-ed25519 AAAA...`) or SHA-256 fingerprints (`SHA256:...`): one of them must be its own.
   * Empty: whatever it shows at this first contact is pinned; keep {@link SshConnection.hostKeys} and give it next time.
   */
  hostKeys: readonly string[];
  /** For messages: `minion m1`. */
  label: string;
  /** A private folder of this worker. */
  workDir: string;
}

/** Known hosts are listed under this name: addresses of minions are used again by others. */
const ALIAS = 'minion';
const CONNECT_S = 10;
/** Silence after which the connection is given up: 3 questions, 10 s apart. */
const ALIVE = ['ServerAliveInterval=10', 'ServerAliveCountMax=3'];
const RETRY_MS = 1_000;
/** A machine that boots may answer before it has been told the key. */
const KEY_WAIT_MS = 60_000;

/**
 * One SSH connection by OpenSSH's client: it does the cipher work in a process of its own, and everything goes through it.
 * It never asks for anything, ignores the user's own configuration, and dies with this process.
 */
export class SshConnection {
  /** The host's public keys that are accepted. */
  readonly hostKeys: readonly string[];
  /** Ends when the connection does. */
  readonly ended: Promise<void>;
  readonly #ssh: string;
  readonly #label: string;
  readonly #folder: string;
  readonly #master: ChildProcess;
  readonly #stderr: { text: string };
  readonly #destination: string[];

  private constructor(
    ssh: string,
    host: SshHost,
    hostKeys: readonly string[],
    folder: string,
    master: ChildProcess,
    destination: string[],
  ) {
    this.#ssh = ssh;
    this.#label = host.label;
    this.hostKeys = hostKeys;
    this.#folder = folder;
    this.#master = master;
    this.#destination = destination;
    this.#stderr = { text: '' };
    master.stderr?.on('data', (chunk: Buffer) => {
      if (this.#stderr.text.length < 65_536) this.#stderr.text += chunk.toString('utf8');
    });
    this.ended = new Promise((resolve) => {
      master.once('close', () => resolve());
      master.once('error', () => resolve());
    });
  }

  /**
   * Connects and logs in.
   *
   * @param waitMs how long a host that does not answer yet is called again, and for a minute of it one that refuses the
   *   key; default 0
   * @throws GodwitError CONNECTION_FAILED, AUTHENTICATION_FAILED (key refused), CONFLICT (another host key), CANCELED,
   *   TOOL_MISSING
   */
  static async open(host: SshHost, signal: AbortSignal, waitMs = 0): Promise<SshConnection> {
    const deadline = performance.now() + waitMs;
    let keyDeadline: number | null = null;
    for (;;) {
      try {
        return await connect(host, signal);
      } catch (error) {
        const code = error instanceof GodwitError ? error.code : null;
        const now = performance.now();
        if (code === 'AUTHENTICATION_FAILED') keyDeadline ??= Math.min(deadline, now + KEY_WAIT_MS);
        const until = code === 'CONNECTION_FAILED' ? deadline : code === 'AUTHENTICATION_FAILED' ? keyDeadline! : 0;
        if (signal.aborted || now + RETRY_MS > until) throw error;
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** For {@link open}. */
  static start(
    ssh: string,
    setpriv: string | null,
    host: SshHost,
    hostKeys: readonly string[],
    folder: string,
    key: string,
  ): SshConnection {
    const known = writePrivate(join(folder, 'known'), hostKeys.map((one) => `${ALIAS} ${one}`).join('\n'));
    const options = [
      ...['BatchMode=yes', `ConnectTimeout=${CONNECT_S}`, ...ALIVE, `HostKeyAlias=${ALIAS}`],
      ...['StrictHostKeyChecking=yes', `UserKnownHostsFile=${known}`, 'GlobalKnownHostsFile=/dev/null'],
      ...['IdentitiesOnly=yes', 'IdentityAgent=none', `IdentityFile=${key}`, 'PasswordAuthentication=no'],
      ...['StreamLocalBindMask=0177', 'ForwardAgent=no', 'ForwardX11=no', 'UpdateHostKeys=no'],
    ];
    const destination = ['-F', 'none', ...options.flatMap((option) => ['-o', option])];
    destination.push('-p', String(host.port ?? 22), '-l', host.user, '-S', join(folder, 'c'));
    const args = [...destination, '-M', '-N', '-T', '--', host.host];
    const program = setpriv === null ? [ssh] : [setpriv, '--pdeathsig', 'KILL', '--', ssh];
    const master = spawn(program[0]!, [...program.slice(1), ...args], {
      env: environment(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return new SshConnection(ssh, host, hostKeys, folder, master, [...destination, '--', host.host]);
  }

  /** Resolves when logged in. @throws GodwitError as {@link open} */
  async ready(signal: AbortSignal): Promise<void> {
    const socket = join(this.#folder, 'c');
    const deadline = performance.now() + 3 * CONNECT_S * 1_000;
    while (!existsSync(socket)) {
      if (signal.aborted) throw new GodwitError('CANCELED', this.#label);
      if (!this.alive) {
        await this.ended;
        throw this.#failure(this.#stderr.text);
      }
      if (performance.now() > deadline) throw this.#failure('it accepts no login');
      await sleep(20);
    }
  }

  get alive(): boolean {
    return this.#master.exitCode === null && this.#master.signalCode === null;
  }

  /** Folder of this connection, for this user only; gone with it. */
  get folder(): string {
    return this.#folder;
  }

  /**
   * Runs a line of shell there to its end.
   *
   * @throws GodwitError CONNECTION_FAILED, CANCELED; any exit code of the command is a result
   */
  async run(
    command: string,
    limits: { signal: AbortSignal; input?: Readable; timeoutMs?: number },
  ): Promise<ToolResult> {
    const child = this.spawn(command);
    const stop = () => child.kill('SIGKILL');
    const timeoutMs = limits.timeoutMs ?? 60_000;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      stop();
    }, timeoutMs);
    limits.signal.addEventListener('abort', stop);
    try {
      const sent = limits.input
        ? // A command that ends early is told by its exit code.
          pipeline(limits.input, child.stdin!).catch(() => undefined)
        : child.stdin!.end();
      const result = await collect(child);
      limits.input?.destroy();
      await sent;
      if (limits.signal.aborted) throw new GodwitError('CANCELED', this.#label);
      if (late) throw this.#failure(`no answer within ${timeoutMs} ms`);
      if (result.code === 255 || result.code === -1) throw this.#failure(result.stderr || this.#stderr.text);
      return result;
    } finally {
      clearTimeout(timer);
      limits.signal.removeEventListener('abort', stop);
    }
  }

  /** Starts a line of shell there; its end shows as the end of the process that is returned. */
  spawn(command: string): ChildProcess {
    const child = spawn(this.#ssh, ['-T', '-e', 'none', ...this.#destination, command], {
      env: environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.on('error', () => child.kill());
    return child;
  }

  /** Makes a unix socket here that leads to a port of the host's loopback interface. */
  async forward(port: number, signal: AbortSignal): Promise<string> {
    const socket = join(this.#folder, `s${randomBytes(3).toString('hex')}`);
    const args = ['-O', 'forward', '-L', `${socket}:127.0.0.1:${port}`, ...this.#destination];
    const result = await runTool('ssh', args, this.#label, { signal, timeoutMs: 20_000 });
    if (result.code !== 0 || !existsSync(socket)) throw this.#failure(result.stderr || 'no port is forwarded');
    return socket;
  }

  /** Ends it and all that goes through it. Idempotent. */
  async close(): Promise<void> {
    this.#master.kill('SIGTERM');
    const last = setTimeout(() => this.#master.kill('SIGKILL'), 2_000);
    await this.ended;
    clearTimeout(last);
    await rm(this.#folder, { recursive: true, force: true });
  }

  #failure(stderr: string): GodwitError {
    const reason = lastWords(stderr) || 'ssh ended';
    if (/Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/i.test(stderr)) {
      return new GodwitError('CONFLICT', this.#label, { reason: `its host key is not the expected one (${reason})` });
    }
    const refused = /Permission denied|Too many authentication failures|invalid format|error in libcrypto/i;
    return new GodwitError(refused.test(stderr) ? 'AUTHENTICATION_FAILED' : 'CONNECTION_FAILED', this.#label, {
      reason,
    });
  }
}

async function connect(host: SshHost, signal: AbortSignal): Promise<SshConnection> {
  if (signal.aborted) throw new GodwitError('CANCELED', host.label);
  const ssh = await needTool('ssh', host.label);
  const setpriv = await findTool('setpriv');
  const hostKeys = await keysToExpect(host, signal);
  const folder = makePrivateFolder(host.workDir);
  let connection: SshConnection | null = null;
  try {
    const { privateKey } = host;
    const key =
      typeof privateKey === 'string' ? writePrivate(join(folder, 'key'), opensshKey(privateKey)) : privateKey.file;
    connection = SshConnection.start(ssh, setpriv, host, hostKeys, folder, key);
    await connection.ready(signal);
    return connection;
  } catch (error) {
    await connection?.close();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Full public keys: given, or shown by the host and matching a given fingerprint, or (none given) shown by the host. */
async function keysToExpect(host: SshHost, signal: AbortSignal): Promise<string[]> {
  const full = host.hostKeys.filter((key) => !key.startsWith('SHA256:')).map((key) => keyOf(key.trim()));
  if (full.length > 0) return full;
  const args = ['-T', String(CONNECT_S), '-p', String(host.port ?? 22), '--', host.host];
  const { stdout, stderr } = await runTool('ssh-keyscan', args, host.label, { signal, timeoutMs: 30_000 });
  const shown = stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => keyOf(line.slice(line.indexOf(' ') + 1)));
  if (shown.length === 0) {
    throw new GodwitError('CONNECTION_FAILED', host.label, { reason: lastWords(stderr) || 'it shows no host key' });
  }
  if (host.hostKeys.length === 0) return shown;
  const known = shown.filter((key) => host.hostKeys.includes(fingerprint(key)));
  if (known.length > 0) return known;
  const reason = `none of its host keys has an expected fingerprint; it shows ${shown.map(fingerprint).join(', ')}`;
  throw new GodwitError('CONFLICT', host.label, { reason });
}

/** `type base64` without a comment. */
function keyOf(line: string): string {
  return line.split(/\s+/).slice(0, 2).join(' ');
}

function fingerprint(key: string): string {
  const bytes = Buffer.from(key.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(bytes).digest('base64').replace(/=+$/, '')}`;
}

function lastWords(stderr: string): string {
  return stderr.trim().split('\n').slice(-2).join('; ').slice(0, 500);
}

function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' };
}

function collect(child: ChildProcess): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      if (stdout.length < 1_048_576) stdout += chunk.toString('utf8');
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      if (stderr.length < 65_536) stderr += chunk.toString('utf8');
    });
    child.once('error', (error) => reject(GodwitError.wrap(error, 'INTERNAL', 'ssh')));
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}
