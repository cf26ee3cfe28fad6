import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { needTool } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { ProviderContext } from '@godwit/provider';

/** What a run of virsh left behind. */
export interface VirshResult {
  /** Exit code, or -1 when a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
}

export interface VirshLimits {
  /** It is killed then. Default 60,000. */
  timeoutMs?: number;
  /** How long a command that must not be cut in the middle may go on after a cancel, ms. Default 0. */
  patienceMs?: number;
  /** It goes on to its end when this process dies or both are asked to stop, and nobody reads what it prints. Default false. */
  survives?: boolean;
}

/** Milliseconds an answer may take. libvirt itself waits 30 s for a busy domain. */
const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_OUTPUT = 67_108_864;

/** libvirt's own client as a subprocess: no shell, XML in files, messages in English, a limit on every call. */
export class Virsh {
  readonly #ctx: ProviderContext;
  readonly #uri: string;
  readonly #folder: string;

  /** @param folder private folder for XML files */
  constructor(ctx: ProviderContext, uri: string, folder: string) {
    this.#ctx = ctx;
    this.#uri = uri;
    this.#folder = folder;
  }

  /**
   * Runs one command and returns what it prints.
   *
   * @param object what it is about, for errors: `instance web01`
   * @throws GodwitError as {@link virshError} maps them, CANCELED, TOOL_MISSING
   */
  async run(object: string, ...command: string[]): Promise<string> {
    const result = await this.attempt(command);
    if (result.code !== 0) throw virshError(result.stderr, object, this.#ctx.endpoint);
    return result.stdout;
  }

  /** The same without judging the outcome; failures to reach the host reject all the same. */
  async attempt(command: readonly string[], limits: VirshLimits = {}): Promise<VirshResult> {
    const program = await needTool('virsh', this.#ctx.endpoint);
    const line = [program, '-q', '-c', this.#uri, ...command];
    // Without a reader its first line would end it; Ctrl-C and the end of a service reach all processes.
    const words = limits.survives ? ['sh', '-c', 'trap "" PIPE INT TERM HUP; exec "$@"', 'sh', ...line] : line;
    const result = await execute(words, this.#ctx, limits);
    if (result.code !== 0 && isConnectionTrouble(result.stderr)) {
      throw virshError(result.stderr, this.#ctx.endpoint, this.#ctx.endpoint);
    }
    return result;
  }

  /** Runs several commands in one process, whatever becomes of each; the result is the last one's. */
  batch(commands: readonly (readonly string[])[], limits?: VirshLimits): Promise<VirshResult> {
    return this.attempt([commands.map((words) => words.map(quote).join(' ')).join('; ')], limits);
  }

  /** Calls `use` with the path of a private file that holds `text`. */
  async withFile<T>(text: string, use: (path: string) => Promise<T>): Promise<T> {
    const path = join(this.#folder, `${randomBytes(6).toString('hex')}.xml`);
    await writeFile(path, text, { mode: 0o600 });
    try {
      return await use(path);
    } finally {
      await rm(path, { force: true });
    }
  }
}

/** Quotes a word for virsh's own command parser. */
function quote(word: string): string {
  return /^[\w./:@+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function execute(
  [program = '', ...args]: readonly string[],
  ctx: ProviderContext,
  { timeoutMs = DEFAULT_TIMEOUT_MS, patienceMs = 0 }: VirshLimits,
): Promise<VirshResult> {
  return new Promise((resolve, reject) => {
    if (ctx.signal.aborted) {
      reject(new GodwitError('CANCELED', ctx.endpoint));
      return;
    }
    const child = spawn(program, args, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    let impatience: NodeJS.Timeout | undefined;
    const onAbort = () => {
      impatience = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    };
    ctx.signal.addEventListener('abort', onAbort);
    const out: Buffer[] = [];
    let outBytes = 0;
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      outBytes += chunk.length;
      if (outBytes > MAX_OUTPUT) child.kill('SIGKILL');
      else out.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (stderr.length < 65_536) stderr += chunk.toString('utf8');
    });
    const finish = () => {
      clearTimeout(timer);
      clearTimeout(impatience);
      ctx.signal.removeEventListener('abort', onAbort);
    };
    child.once('error', (error) => {
      finish();
      reject(GodwitError.wrap(error, 'INTERNAL', ctx.endpoint));
    });
    child.once('close', (code) => {
      finish();
      if (ctx.signal.aborted) reject(new GodwitError('CANCELED', ctx.endpoint));
      else if (late) {
        reject(
          new GodwitError('CONNECTION_FAILED', ctx.endpoint, { reason: `no answer within ${timeoutMs / 1000} s` }),
        );
      } else resolve({ code: code ?? -1, stdout: Buffer.concat(out).toString('utf8'), stderr });
    });
  });
}

/** No secret of ours; HOME and XDG_RUNTIME_DIR lead to the user's ssh keys and session daemon. */
function environment(): NodeJS.ProcessEnv {
  const kept = [
    'PATH',
    'HOME',
    'USER',
    'LOGNAME',
    'XDG_RUNTIME_DIR',
    'XDG_CONFIG_HOME',
    'XDG_CACHE_HOME',
    'SSH_AUTH_SOCK',
  ];
  const passed = kept.map((name) => [name, process.env[name]] as const).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(passed), LC_ALL: 'C' };
}

function isConnectionTrouble(stderr: string): boolean {
  return /failed to connect to the hypervisor|End of file while reading data|client socket is closed|Cannot (recv|write|read) data|Disconnected from|keepalive|connection.*(reset|closed) by peer/i.test(
    stderr,
  );
}

/** The complaint without the general line that virsh puts before it. */
export function complaint(stderr: string): string {
  const lines = stderr
    .split('\n')
    .filter((line) => line.startsWith('error:') || line.startsWith('error :'))
    .map((line) => line.replace(/^error ?: */, ''));
  const telling = lines.filter((line) => !/^(Failed to|failed to (get|connect)|Unable to|Could not)\b/.test(line));
  const reason = (telling.length > 0 ? telling : lines).join('; ');
  return (reason || stderr.trim() || 'no message').slice(0, 500);
}

/** What virsh complained about, as one of ours. */
export function virshError(stderr: string, object: string, endpoint: string): GodwitError {
  const reason = complaint(stderr);
  const cause = { cause: new Error(stderr.trim().slice(0, 4000)) };
  if (isConnectionTrouble(stderr)) {
    const refused =
      /authentication (failed|cancelled|required)|Failed to (start SASL|step SASL|authenticate)|SASL|Permission denied|Host key verification failed|polkit|access denied/i;
    return refused.test(stderr)
      ? new GodwitError('AUTHENTICATION_FAILED', endpoint, { reason }, cause)
      : new GodwitError('CONNECTION_FAILED', endpoint, { reason }, cause);
  }
  if (/Domain not found|failed to get domain/i.test(stderr)) return new GodwitError('NOT_FOUND', object, {}, cause);
  if (/cannot acquire state change lock|another (block )?job|active block job|block copy still active/i.test(stderr)) {
    return new GodwitError('CONFLICT', object, { reason: `another job is in the way: ${reason}` }, cause);
  }
  if (/No space left on device/.test(stderr)) return new GodwitError('TARGET_FULL', object, { reason }, cause);
  if (/Failed to get (shared )?"?\w*"? ?lock/i.test(stderr)) {
    return new GodwitError('CONFLICT', object, { reason: 'another process holds the lock of its image' }, cause);
  }
  if (/access denied|operation .* forbidden/i.test(stderr))
    return new GodwitError('FORBIDDEN', object, { reason }, cause);
  return new GodwitError('PLATFORM_ERROR', object, { reason }, cause);
}
