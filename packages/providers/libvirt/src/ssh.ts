import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findTool, needTool, type ToolResult } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { ProviderContext } from '@godwit/provider';
import type { HostAddress } from './connection.ts';

export interface SshFiles {
  /** Private folder for the socket of the shared connection. */
  folder: string;
  /** Private key; null: the user's own. */
  key: string | null;
  /** Known hosts; null: the user's own. */
  knownHosts: string | null;
}

/** A tunnel, and the command that runs at its far end. */
export interface Tunnel {
  /** Unix socket here. */
  socket: string;
  /** First line that the command printed; '' without a command. */
  greeting: string;
  close(): Promise<void>;
}

/** A socket path has room for 107 bytes; the file name needs 16. */
const MAX_FOLDER = 90;
const START_MS = 20_000;
/** A control socket's path gets a suffix of 17 bytes while it is made. */
const MAX_CONTROL_FOLDER = 80;
/** Seconds that the shared connection outlives its last user. */
const PERSIST_S = 15;

/** OpenSSH's client as a subprocess. It never asks for anything, and an unknown host key is refused. */
export class Ssh {
  readonly #ctx: ProviderContext;
  readonly #address: HostAddress;
  readonly #files: SshFiles;

  constructor(ctx: ProviderContext, address: HostAddress, files: SshFiles) {
    this.#ctx = ctx;
    this.#address = address;
    this.#files = files;
  }

  /** A script that libvirt runs in place of `ssh`. */
  wrapper(): string {
    return `#!/bin/sh\nexec ssh ${[...this.#options(), ...this.#sharing()].map(quoteShell).join(' ')} "$@"\n`;
  }

  /**
   * Runs a program there to its end.
   *
   * @throws GodwitError CONNECTION_FAILED, AUTHENTICATION_FAILED, CANCELED; any other exit code is a result
   */
  async run(args: readonly string[], limits: { timeoutMs?: number; input?: string } = {}): Promise<ToolResult> {
    const child = spawn(await needTool('ssh', this.#ctx.endpoint), this.#destination(args, this.#sharing()), {
      env: environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.on('error', () => child.kill()).end(limits.input ?? '');
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, limits.timeoutMs ?? 60_000);
    const onAbort = () => child.kill('SIGKILL');
    this.#ctx.signal.addEventListener('abort', onAbort);
    try {
      const result = await collect(child);
      if (this.#ctx.signal.aborted) throw new GodwitError('CANCELED', this.#ctx.endpoint);
      if (late) throw new GodwitError('CONNECTION_FAILED', this.#ctx.endpoint, { reason: 'no answer by ssh' });
      if (result.code === 255) throw this.#failure(result.stderr);
      return result;
    } finally {
      clearTimeout(timer);
      this.#ctx.signal.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Makes a unix socket here that leads to a unix socket there. The tunnel and its command die with this process.
   *
   * @param command runs there; it prints a line when it is ready, and must end when its input does
   */
  async tunnel(farSocket: string, command: readonly string[] = []): Promise<Tunnel> {
    const folder = this.#ctx.workDir.length <= MAX_FOLDER ? this.#ctx.workDir : tmpdir();
    const socket = join(folder, `t${randomBytes(5).toString('hex')}`);
    const forward = [
      ...['-o', 'ExitOnForwardFailure=yes', '-o', 'StreamLocalBindMask=0177'],
      ...['-L', `${socket}:${farSocket}`],
    ];
    const args = command.length > 0 ? this.#destination(command, forward) : this.#destination([], ['-N', ...forward]);
    const program = [await needTool('ssh', this.#ctx.endpoint)];
    const setpriv = await findTool('setpriv');
    if (setpriv !== null) program.unshift(setpriv, '--pdeathsig', 'KILL', '--');
    const child = spawn(program[0]!, [...program.slice(1), ...args], {
      env: environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let said = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (said.length < 65_536) said += chunk.toString('utf8');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (stderr.length < 65_536) stderr += chunk.toString('utf8');
    });
    child.stdin.on('error', () => child.kill());
    const ended = exitOf(child);
    let closing: Promise<void> | null = null;
    const close = () => {
      closing ??= stop(child, ended, socket);
      return closing;
    };
    const deadline = performance.now() + START_MS;
    while (child.exitCode === null && child.signalCode === null) {
      if (existsSync(socket) && (command.length === 0 || said.includes('\n'))) {
        return { socket, greeting: said.split('\n')[0] ?? '', close };
      }
      if (this.#ctx.signal.aborted || performance.now() > deadline) break;
      await sleep(10);
    }
    const code = child.exitCode;
    await close();
    if (this.#ctx.signal.aborted) throw new GodwitError('CANCELED', this.#ctx.endpoint);
    if (code === 255 || code === null) throw this.#failure(stderr);
    throw new GodwitError('PLATFORM_ERROR', this.#ctx.endpoint, { reason: stderr.trim().slice(0, 500) });
  }

  #options(): string[] {
    const { key, knownHosts } = this.#files;
    const options = ['BatchMode=yes', 'ConnectTimeout=10', 'ServerAliveInterval=10', 'ServerAliveCountMax=3'];
    if (knownHosts !== null) {
      options.push('StrictHostKeyChecking=yes', `UserKnownHostsFile=${knownHosts}`, 'GlobalKnownHostsFile=/dev/null');
    }
    if (key !== null) options.push('IdentitiesOnly=yes', `IdentityFile=${key}`);
    return options.flatMap((option) => ['-o', option]);
  }

  /** Short commands go through one connection: a handshake for each would take longer than the work. */
  #sharing(): string[] {
    const { folder } = this.#files;
    if (folder.length > MAX_CONTROL_FOLDER) return [];
    const options = ['ControlMaster=auto', `ControlPath=${folder}/c`, `ControlPersist=${PERSIST_S}`];
    return options.flatMap((option) => ['-o', option]);
  }

  #destination(command: readonly string[], more: readonly string[] = []): string[] {
    const { host, port, user } = this.#address;
    return [
      ...this.#options(),
      ...['-T', '-e', 'none'],
      ...(port === null ? [] : ['-p', String(port)]),
      ...(user === null ? [] : ['-l', user]),
      ...more,
      '--',
      host,
      // The far side gives it to a shell, whatever is done here.
      ...(command.length > 0 ? [command.map(quoteShell).join(' ')] : []),
    ];
  }

  #failure(stderr: string): GodwitError {
    const reason = stderr.trim().split('\n').slice(-2).join('; ').slice(0, 500) || 'ssh failed';
    const refused = /Permission denied|Host key verification failed|Too many authentication failures|invalid format/i;
    return new GodwitError(refused.test(stderr) ? 'AUTHENTICATION_FAILED' : 'CONNECTION_FAILED', this.#ctx.endpoint, {
      reason,
    });
  }
}

function quoteShell(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function environment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SSH_AUTH_SOCK'];
  const passed = kept.map((name) => [name, process.env[name]] as const).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(passed), LC_ALL: 'C' };
}

function collect(child: ChildProcess): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    let stderr = '';
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => {
      if (stderr.length < 65_536) stderr += chunk.toString('utf8');
    });
    child.once('error', (error) => reject(GodwitError.wrap(error, 'INTERNAL', 'ssh')));
    child.once('close', (code) => resolve({ code: code ?? -1, stdout: Buffer.concat(out).toString('utf8'), stderr }));
  });
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
}

/** The end of its input ends the command, and that the session. */
async function stop(child: ChildProcess, ended: Promise<void>, socket: string): Promise<void> {
  child.stdin?.end();
  // Without a command nothing reads the input.
  const patience = child.spawnargs.includes('-N') ? 0 : 10_000;
  const timer = setTimeout(() => child.kill('SIGTERM'), patience);
  const last = setTimeout(() => child.kill('SIGKILL'), patience + 2_000);
  await ended;
  clearTimeout(timer);
  clearTimeout(last);
  await rm(socket, { force: true });
}
