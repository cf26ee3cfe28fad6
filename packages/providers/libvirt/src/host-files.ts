import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { NbdAddress } from '@godwit/disk';
import { type ImageFormat, runTool, serveImage, type ToolResult } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { ProviderContext } from '@godwit/provider';
import { textOf } from '@godwit/provider/xml';
import type { Ssh } from './ssh.ts';
import type { Virsh } from './virsh.ts';
import { readXml } from './xml.ts';

/** An image to serve by NBD from where it lies. */
export interface ImageToServe {
  path: string;
  format: ImageFormat;
  readOnly: boolean;
  label: string;
  /** Persistent dirty bitmap to serve with it. */
  bitmap?: string;
}

export interface Serving {
  address: NbdAddress;
  close(): Promise<void>;
}

/** The files of a libvirt host: image files, scratch files, NVRAM. */
export interface HostFiles {
  /** `local`: this machine sees them under the same paths; `ssh`: by commands there; `none`: only through libvirt. */
  readonly reach: 'local' | 'ssh' | 'none';
  /**
   * Runs a program where the files are.
   *
   * @throws GodwitError UNSUPPORTED when the files cannot be reached
   */
  run(program: string, args: readonly string[], object: string, limits?: RunLimits): Promise<ToolResult>;
  serve(image: ImageToServe): Promise<Serving>;
  /** Names in a folder that begin with `prefix`. A missing folder is empty. */
  list(folder: string, prefix: string): Promise<string[]>;
  /** Removes files of one folder. Gone already is success. */
  remove(folder: string, names: readonly string[]): Promise<void>;
}

export interface RunLimits {
  timeoutMs?: number;
  /** What the program reads. */
  input?: string;
}

/** Whoever serves an image for writing leaves its process id beside it, so that a successor can shut it out. */
const WRITER = '.writer';

/** Files of this machine. */
export function localFiles(ctx: ProviderContext): HostFiles {
  const run = (program: string, args: readonly string[], object: string, limits: RunLimits = {}) =>
    limits.input === undefined
      ? runTool(program, args, object, { signal: ctx.signal, ...limits })
      : runTool('sh', ['-c', 'printf %s "$1" | { shift; "$@"; }', 'sh', limits.input, program, ...args], object, {
          signal: ctx.signal,
          timeoutMs: limits.timeoutMs ?? 60_000,
        });
  return {
    reach: 'local',
    run,
    async serve(image) {
      if (!image.readOnly) await shutOut(run, image);
      const served = await serveImage({ ...image, workDir: ctx.workDir }, ctx.signal);
      if (!image.readOnly) await noteWriter(run, image, served.pid);
      return served;
    },
    ...folderOperations(run, ctx.endpoint),
  };
}

/** Serves an image until its input ends: the session that runs it may die with the worker. */
const serveScript = `
image=$1 socket=$2 note=$3; shift 3
qemu-nbd --socket="$socket" "$@" 2>"$socket.err" & pid=$!
i=0
until [ -S "$socket" ]; do
  kill -0 $pid 2>/dev/null && [ $i -lt 300 ] || { cat "$socket.err" >&2; rm -f "$socket.err"; exit 3; }
  i=$((i + 1)); sleep 0.05
done
[ -z "$note" ] || echo $pid > "$image${WRITER}"
echo ready
cat >/dev/null
kill $pid; wait $pid
rm -f "$socket" "$socket.err"
[ -z "$note" ] || rm -f "$image${WRITER}"
`;

/** Files of a host that ssh reaches. */
export function remoteFiles(ssh: Ssh, ctx: ProviderContext): HostFiles {
  const run = (program: string, args: readonly string[], _object: string, limits: RunLimits = {}) =>
    ssh.run([program, ...args], limits);
  return {
    reach: 'ssh',
    run,
    async serve(image) {
      if (!image.readOnly) await shutOut(run, image);
      const farSocket = `/tmp/godwit-${randomBytes(8).toString('hex')}`;
      const tunnel = await ssh.tunnel(farSocket, [
        ...['sh', '-c', serveScript, 'sh', image.path, farSocket, image.readOnly ? '' : 'writer'],
        ...['--persistent', '--shared=8', '--cache=writeback', '--aio=threads', '--discard=unmap'],
        ...(image.readOnly ? ['--read-only'] : []),
        ...(image.bitmap === undefined ? [] : [`--bitmap=${image.bitmap}`]),
        ...['-f', image.format, '--', image.path],
      ]);
      const address: NbdAddress = {
        kind: 'nbd',
        transport: { unix: tunnel.socket },
        export: '',
        readOnly: image.readOnly,
        ...(image.bitmap === undefined ? {} : { changedContext: `qemu:dirty-bitmap:${image.bitmap}` }),
      };
      return { address, close: () => tunnel.close() };
    },
    ...folderOperations(run, ctx.endpoint),
  };
}

type Run = HostFiles['run'];

function folderOperations(run: Run, endpoint: string): Pick<HostFiles, 'list' | 'remove'> {
  return {
    async list(folder, prefix) {
      const { stdout } = await run(
        'find',
        [folder, '-maxdepth', '1', '-name', `${prefix}*`, '-printf', '%f\\n'],
        endpoint,
      );
      return stdout.split('\n').filter((name) => name.startsWith(prefix));
    },
    async remove(folder, names) {
      if (names.length === 0) return;
      const paths = names.map((name) => posix.join(folder, name));
      const result = await run('rm', ['-f', '--', ...paths], endpoint);
      if (result.code !== 0) throw new GodwitError('PLATFORM_ERROR', endpoint, { reason: lastLine(result.stderr) });
    },
  };
}

/** Kills a former writer of the image that may still be alive: a worker that lost its lease, a cut ssh session. */
async function shutOut(run: Run, image: ImageToServe): Promise<void> {
  const script = `
note=$1${WRITER}
pid=$(cat "$note" 2>/dev/null) || exit 0
case $(tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
  *qemu-nbd*"$1"*) kill -KILL "$pid"; i=0; while [ -e "/proc/$pid" ] && [ $i -lt 100 ]; do sleep 0.05; i=$((i + 1)); done ;;
esac
rm -f "$note"
`;
  await run('sh', ['-c', script, 'sh', image.path], image.label);
}

async function noteWriter(run: Run, image: ImageToServe, pid: number): Promise<void> {
  await run('sh', ['-c', `echo "$2" > "$1${WRITER}"`, 'sh', image.path, String(pid)], image.label);
}

/**
 * A host whose files only libvirt reaches (qemu+tcp, qemu+tls): files are listed and removed through a storage pool over
 * their folder; a pool that had to be made for that is gone afterwards.
 */
export function poolFiles(virsh: Virsh, endpoint: string): HostFiles {
  const refuse = (what: string, object: string) =>
    new GodwitError('UNSUPPORTED', object, {
      what: `${what}: the files of ${endpoint} cannot be reached over its URI (use qemu+ssh, or connection_info/files "local" where the worker sees them under the same paths)`,
    });
  const inPool = async <T>(folder: string, use: (pool: string) => Promise<T>): Promise<T> => {
    const known = await poolOver(virsh, folder, endpoint);
    if (known !== null) {
      await virsh.run(endpoint, 'pool-refresh', known);
      return use(known);
    }
    const pool = `godwit-${randomBytes(6).toString('hex')}`;
    await virsh.run(endpoint, 'pool-create-as', '--name', pool, '--type', 'dir', '--target', folder);
    try {
      return await use(pool);
    } finally {
      await virsh.run(endpoint, 'pool-destroy', pool);
    }
  };
  const names = async (pool: string) =>
    (await virsh.run(endpoint, 'vol-list', pool))
      .split('\n')
      .map((line) => line.trim().split(/\s{2,}|\s+\//)[0] ?? '')
      .filter((name) => name !== '');
  return {
    reach: 'none',
    run: (program, _args, object) => Promise.reject(refuse(`running ${program} beside its disks`, object)),
    serve: (image) => Promise.reject(refuse('serving a disk that no running instance uses', image.label)),
    list: (folder, prefix) =>
      inPool(folder, async (pool) => (await names(pool)).filter((name) => name.startsWith(prefix))),
    remove: (folder, unwanted) =>
      inPool(folder, async (pool) => {
        const there = new Set(await names(pool));
        for (const name of unwanted.filter((name) => there.has(name))) {
          await virsh.run(endpoint, 'vol-delete', '--pool', pool, name);
        }
      }),
  };
}

/** The active storage pool over a folder; libvirt allows but one. */
async function poolOver(virsh: Virsh, folder: string, endpoint: string): Promise<string | null> {
  for (const pool of words(await virsh.run(endpoint, 'pool-list', '--name'))) {
    const description = await virsh.attempt(['pool-dumpxml', pool]);
    if (description.code !== 0) continue;
    if (textOf(readXml(description.stdout, endpoint), 'target', 'path') === folder) return pool;
  }
  return null;
}

/** Size, time of change to the nanosecond, inode: equal when nobody wrote to the file. Null when there is no such file. */
export async function fingerprint(files: HostFiles, path: string, object: string): Promise<string | null> {
  const result = await files.run('stat', ['-L', '-c', '%s %.9Y %i', '--', path], object);
  return result.code === 0 ? result.stdout.trim() : null;
}

/** The lines of a list that virsh printed with `--name`. */
export function words(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** The telling line of a program's complaint. */
export function lastLine(text: string): string {
  return (text.trim().split('\n').at(-1) ?? '').slice(0, 500) || 'no message';
}
