import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What one run of a command took. */
export interface Measurement {
  /** Seconds from start to exit. */
  wall: number;
  /** Processor seconds of the command and its children, user and system. */
  cpu: number;
  /** Peak resident bytes of the command itself (VmHWM), read every few milliseconds; 0 when it was too short to read. */
  peakBytes: number;
  /** Its standard output. */
  stdout: string;
}

const POLL_MS = 5;

/**
 * Runs a command to its end. Wall and processor time come from the shell's own `time`, so that nothing is lost at exit.
 *
 * @throws Error with the end of its standard error when it fails
 */
export function runMeasured(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Measurement> {
  const script = 'TIMEFORMAT="%3R %3U %3S"; { time "$@" 2>&3; } 2>&4';
  const child = spawn('bash', ['-c', script, 'bash', ...argv], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const output = collect(child, 1);
  const errors = collect(child, 3);
  const times = collect(child, 4);
  let peakBytes = 0;
  const poll = setInterval(() => {
    for (const pid of childrenOf(child.pid)) peakBytes = Math.max(peakBytes, peakOf(pid));
  }, POLL_MS);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(poll);
      if (code !== 0) {
        reject(new Error(`${argv.join(' ')} failed with ${code}: ${errors.text().slice(-2_000)}`));
        return;
      }
      const [wall = 0, user = 0, system = 0] = times.text().trim().split(/\s+/).map(Number);
      resolve({ wall, cpu: user + system, peakBytes, stdout: output.text() });
    });
  });
}

/** Processor seconds that a running process has used so far. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  // utime and stime are fields 14 and 15 of the line; the cut above took away two.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Peak resident bytes of a process, 0 when it is gone. */
export function peakOf(pid: number | 'self'): number {
  return memoryOf(pid, /^VmHWM:\s+(\d+) kB/m);
}

/** Resident bytes of a process, 0 when it is gone. */
export function residentOf(pid: number): number {
  return memoryOf(pid, /^VmRSS:\s+(\d+) kB/m);
}

function memoryOf(pid: number | 'self', line: RegExp): number {
  try {
    const match = line.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(match?.[1] ?? 0) * 1_024;
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
}

function childrenOf(pid: number | undefined): number[] {
  if (pid === undefined) return [];
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ESRCH';
}

function collect(child: ChildProcess, fd: number): { text: () => string } {
  const chunks: Buffer[] = [];
  child.stdio[fd]?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { text: () => Buffer.concat(chunks).toString('utf8') };
}
