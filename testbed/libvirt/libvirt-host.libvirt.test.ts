import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, chown, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startLibvirtHost } from './libvirt-host.ts';

const exec = promisify(execFile);

/** QEMU's command line has the name, and nothing else that tells hosts apart. */
const name = `idle-${process.pid}`;
const domain = `<domain type='qemu'><name>${name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os></domain>`;

/** Processes that name a folder in their command line. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return ''; // ended meanwhile
      }
    })
    .filter((line) => line.includes(folder));
}

async function untilNone(folder: string): Promise<void> {
  while (processesOf(folder).length > 0) await sleep(50);
}

test('two hosts run side by side, each with its own domains and networks, and stop whole', async () => {
  const hosts = await Promise.all([startLibvirtHost(), startLibvirtHost()]);
  for (const host of hosts) {
    const file = join(host.dir, 'x.xml');
    await writeFile(file, domain);
    await host.virsh('define', file);
    await host.virsh('start', name);
    await writeFile(file, "<network><name>lan</name><bridge name='br-lan'/></network>");
    await host.virsh('net-create', file);
    expect(await host.virsh('list', '--name')).toBe(`${name}\n`);
  }
  await Promise.all(hosts.map((host) => host.stop()));
  for (const host of hosts) {
    await untilNone(host.dir);
    expect(existsSync(host.dir)).toBe(false);
  }
});

test('a host dies with the process that started it, domains and all, and starts again in the same folder', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gwlv-'));
  let starter: ChildProcess | undefined;
  try {
    const program = `
      const { startLibvirtHost } = await import(${JSON.stringify(join(import.meta.dirname, 'libvirt-host.ts'))});
      const host = await startLibvirtHost({ dir: ${JSON.stringify(dir)}, tcpPort: 16509 });
      const { writeFileSync } = await import('node:fs');
      writeFileSync(host.dir + '/d.xml', ${JSON.stringify(domain)});
      await host.virsh('define', host.dir + '/d.xml');
      await host.virsh('start', ${JSON.stringify(name)});
      console.log('up');
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    starter = child;
    await new Promise((resolve) => child.stdout.once('data', resolve));
    expect(processesOf(`guest=${name}`)).toHaveLength(1);
    child.kill('SIGKILL');
    await untilNone(dir);
    await untilNone(`guest=${name}`);
    const again = await startLibvirtHost({ dir });
    expect(await again.virsh('list', '--all', '--name')).toBe(`${name}\n`);
    await again.stop();
  } finally {
    starter?.kill('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  }
});

test('a host that lost its power starts again with what it knew', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gwlv-'));
  try {
    const host = await startLibvirtHost({ dir });
    await writeFile(join(dir, 'd.xml'), domain);
    await host.virsh('define', join(dir, 'd.xml'));
    await host.virsh('start', name);
    await host.crash();
    await untilNone(dir);
    const again = await startLibvirtHost({ dir });
    expect((await again.virsh('domstate', name)).trim()).toBe('shut off');
    await again.stop();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a plain user gets a session host by the same script', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gwlv-'));
  const script = join(dir, 'host.sh');
  const nobody = 65_534;
  const asNobody = (...args: string[]) =>
    exec('setpriv', ['--reuid', String(nobody), '--regid', String(nobody), '--clear-groups', ...args], {
      env: { PATH: process.env.PATH, HOME: join(dir, 'home') },
    });
  try {
    await cp(join(import.meta.dirname, 'host.sh'), script);
    await chmod(script, 0o755);
    await chown(dir, nobody, nobody);
    await writeFile(join(dir, 'd.xml'), domain);
    await chmod(join(dir, 'd.xml'), 0o644);
    const host = join(dir, 'h');
    const { stdout } = await asNobody(script, 'start', host);
    const uri = /^URI=(.*)$/m.exec(stdout)?.[1] ?? '';
    expect(uri).toMatch(/session/);
    await asNobody('virsh', '-q', '-c', uri, 'define', join(dir, 'd.xml'));
    await asNobody('virsh', '-q', '-c', uri, 'start', name);
    await asNobody(script, 'stop', host);
    await untilNone(host);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
