import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Between the answers of several commands. */
const END = '=end=';
const script = join(import.meta.dirname, 'host.sh');

export interface LibvirtHostOptions {
  /** Folder of its state and images; created; keep it short. Default: a fresh one under the system's temporary folder. */
  dir?: string;
  /** Present: also listens on this TCP port of its own address, see {@link LibvirtHost.tcpUri}. Root only. */
  tcpPort?: number;
  /** True: asks on that port for user `godwit` and the password in `DIR/password`. Default false. */
  sasl?: boolean;
  /** True: also runs an OpenSSH server, see {@link LibvirtHost.sshUri}. Root only. Default false. */
  ssh?: boolean;
}

/** A real libvirt/QEMU host. It dies with the process that started it, also when that is killed. */
export interface LibvirtHost {
  readonly dir: string;
  /** Folder for disk images, readable by its QEMU. */
  readonly images: string;
  /** Connection URI over its unix socket. */
  readonly uri: string;
  /** `qemu+tcp://ADDRESS:PORT/system`; undefined without `tcpPort`. */
  readonly tcpUri: string | undefined;
  /** `qemu+ssh://root@ADDRESS/system`; undefined without `ssh`. The key is `DIR/ssh/client`. */
  readonly sshUri: string | undefined;
  /** True when it can make virtual networks (started by root). */
  readonly networks: boolean;
  /** Runs `virsh` against it and returns what it prints. Rejects with what it complains about. */
  virsh(...args: string[]): Promise<string>;
  /** Runs commands of `virsh` that list things, in one process; the lines of each. Rejects when any of them complains. */
  virshLists(...commands: string[]): Promise<string[][]>;
  /** Powers its domains off and ends it. Idempotent. `keep` leaves the folder; a folder of the caller's choice always stays. */
  stop(keep?: boolean): Promise<void>;
  /** Pulls the plug: every QEMU and daemon is gone at once, nothing is flushed. It may be started again with the same folder. */
  crash(): Promise<void>;
}

/** What a machine needs for a host, or undefined when all is there: the Debian packages that are missing. */
export async function missingPackages(ssh = false): Promise<string[] | undefined> {
  const needed: [program: string, debian: string][] = [
    ['/usr/sbin/libvirtd', 'libvirt-daemon-system'],
    ['/usr/bin/virsh', 'libvirt-clients'],
    ['/usr/bin/qemu-system-x86_64', 'qemu-system-x86'],
    ['/usr/bin/qemu-img', 'qemu-utils'],
    ...(process.getuid?.() === 0 ? [['/usr/sbin/ip', 'iproute2'] as [string, string]] : []),
    ...(ssh ? [['/usr/sbin/sshd', 'openssh-server'] as [string, string]] : []),
  ];
  const missing = needed.filter(([program]) => !existsSync(program)).map(([, debian]) => debian);
  return missing.length > 0 ? missing : undefined;
}

/** Starts a host, or cleans up after a dead one in the same folder and starts it anew. About 2 s. */
export async function startLibvirtHost(options: LibvirtHostOptions = {}): Promise<LibvirtHost> {
  if (options.dir === undefined) await removeDead();
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'gwlv-')));
  const args = [
    ...(options.tcpPort === undefined ? [] : ['--tcp', String(options.tcpPort)]),
    ...(options.sasl ? ['--sasl'] : []),
    ...(options.ssh ? ['--ssh'] : []),
  ];
  // setpriv: the kernel kills the host when this process dies, however it dies.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', script, 'run', dir, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = exitOf(child);
  const facts = await Promise.race([
    run(script, ['ready', dir, ...args]).then(({ stdout }) => parseFacts(stdout)),
    ended.then(() => Promise.reject(new Error(`libvirt host in ${dir} ended: ${said}`))),
  ]).catch(async (error: unknown) => {
    await run(script, ['stop', dir]);
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    throw error;
  });
  const uri = facts.URI ?? '';
  return {
    dir,
    images: join(dir, 'images'),
    uri,
    tcpUri: facts.URI_TCP,
    sshUri: facts.URI_SSH,
    networks: process.getuid?.() === 0,
    async virsh(...command) {
      const { stdout } = await run('virsh', ['-q', '-c', uri, ...command], { env: { ...process.env, LC_ALL: 'C' } });
      return stdout;
    },
    async virshLists(...commands) {
      if (commands.length === 0) return [];
      const line = commands.flatMap((command) => [command, `echo ${END}`]).join('; ');
      const { stdout, stderr } = await run('virsh', ['-q', '-c', uri, line], { env: { ...process.env, LC_ALL: 'C' } });
      // Its exit code is that of the last command.
      if (stderr.trim() !== '') throw new Error(stderr);
      const lists = stdout.split(END).map((text) => text.split('\n').filter((one) => one.trim() !== ''));
      if (lists.length !== commands.length + 1) throw new Error(`virsh answered only in part: ${stdout}`);
      return lists.slice(0, -1);
    },
    async stop(keep = false) {
      await run(script, ['stop', dir]);
      await ended;
      if (options.dir === undefined && !keep) await rm(dir, { recursive: true, force: true });
    },
    async crash() {
      if (child.pid !== undefined && child.exitCode === null) process.kill(child.pid, 'SIGKILL');
      await ended;
      await run(script, ['sweep', dir]);
    },
  };
}

/** Folders of hosts whose starter was killed an hour ago or more; their processes died with it. */
async function removeDead(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith('gwlv-')) continue;
    const folder = join(tmpdir(), name);
    const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs < 3_600_000) continue;
    const { stdout } = await run(script, ['alive', folder]);
    if (stdout.trim() === 'no') await rm(folder, { recursive: true, force: true });
  }
}

function parseFacts(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('exit', () => resolve());
    child.once('error', reject);
  });
}
