import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { GodwitError } from '@godwit/domain';

/** Debian packages of the programs that the data plane starts. */
const packages: Readonly<Record<string, string>> = {
  'qemu-img': 'qemu-utils',
  'qemu-nbd': 'qemu-utils',
  setpriv: 'util-linux',
  prlimit: 'util-linux',
};

/** What a program that ended left behind. */
export interface ToolResult {
  /** Exit code, or -1 when a signal ended it. */
  code: number;
  stdout: string;
  /** The first 64 KiB. */
  stderr: string;
}

const found = new Map<string, string>();

/** Full path of a program, or null when it is not installed. */
export async function findTool(name: string): Promise<string | null> {
  const known = found.get(name);
  if (known !== undefined) return known;
  for (const folder of (process.env.PATH ?? '/usr/bin').split(delimiter)) {
    const path = join(folder, name);
    const runnable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!runnable) continue;
    found.set(name, path);
    return path;
  }
  return null;
}

/** @throws GodwitError TOOL_MISSING with the line that installs it */
export async function needTool(name: string, object: string): Promise<string> {
  const path = await findTool(name);
  if (path !== null) return path;
  const install = `Install it: apt-get install -y ${packages[name] ?? name}`;
  throw new GodwitError('TOOL_MISSING', object, { tool: name, install });
}

/** The environment of every child: no secret of ours, messages in English. */
export function childEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
}

/**
 * Runs a program to its end without a shell.
 *
 * @param limits `timeoutMs`: it is killed then (default 60,000); `maxOutput`: bytes of stdout kept, more kills it (default
 *   16 MiB)
 * @throws GodwitError TOOL_MISSING, CANCELED; any exit code is a result
 */
export async function runTool(
  name: string,
  args: readonly string[],
  object: string,
  limits: { timeoutMs?: number; maxOutput?: number; signal?: AbortSignal } = {},
): Promise<ToolResult> {
  const path = await needTool(name, object);
  const maxOutput = limits.maxOutput ?? 16_777_216;
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { env: childEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), limits.timeoutMs ?? 60_000);
    const onAbort = () => child.kill('SIGKILL');
    limits.signal?.addEventListener('abort', onAbort);
    const out: Buffer[] = [];
    let outBytes = 0;
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      outBytes += chunk.length;
      if (outBytes > maxOutput) child.kill('SIGKILL');
      else out.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (stderr.length < 65_536) stderr += chunk.toString('utf8');
    });
    const finish = () => {
      clearTimeout(timer);
      limits.signal?.removeEventListener('abort', onAbort);
    };
    child.once('error', (error) => {
      finish();
      reject(GodwitError.wrap(error, 'INTERNAL', object));
    });
    child.once('close', (code) => {
      finish();
      if (limits.signal?.aborted) reject(new GodwitError('CANCELED', object));
      else resolve({ code: code ?? -1, stdout: Buffer.concat(out).toString('utf8'), stderr });
    });
  });
}
