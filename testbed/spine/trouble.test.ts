import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Execution, Installation } from './installation.ts';
import { fill, seeded } from './random.ts';

const MiB = 1_048_576;
const random = seeded(7);

/** What the operator is told: the error of the first task that failed. */
function told(execution: Execution): { code: string; object: string; message: string; remedy: string } {
  const failed = execution.tasks.find((task) => task.error);
  if (!failed?.error)
    throw new Error(`no task of ${execution.id} carries an error: ${JSON.stringify(execution.tasks)}`);
  return failed.error;
}

describe('trouble', () => {
  let godwit: Installation;
  let folder: string;
  let count = 0;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'gw-trouble-'));
    godwit = await Installation.start();
  });

  afterAll(async () => {
    await godwit.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A fresh pair of folders with one VM of the given disks, and a transfer between them. */
  async function pair(
    disks: Record<string, Buffer>,
    more: object = {},
    target?: string,
  ): Promise<{ vm: string; target: string; transfer: string }> {
    count += 1;
    const source = path.join(folder, `source${count}`);
    const vm = path.join(source, 'web01');
    const to = target ?? path.join(folder, `target${count}`);
    mkdirSync(vm, { recursive: true });
    mkdirSync(to, { recursive: true });
    for (const [name, bytes] of Object.entries(disks)) writeFileSync(path.join(vm, name), bytes);
    const old = await godwit.endpoint(`old${count}`, 'image', { path: source });
    const fresh = await godwit.endpoint(`new${count}`, 'image', { path: to });
    return { vm, target: to, transfer: await godwit.transfer(old, fresh, ['web01'], more) };
  }

  it('names an unknown provider', async () => {
    const body = { endpoint: { name: 'x', type: 'nonesuch', connection_info: {} } };
    const answer = await godwit.request('POST', '/endpoints', body);
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).toContain('nonesuch');
  });

  it('lists every violation of a schema at once', async () => {
    const body = {
      endpoint: { name: 'x', type: 'libvirt', connection_info: { url: 'qemu:///system', files: 'maybe' } },
    };
    const answer = await godwit.request('POST', '/endpoints', body);
    expect(answer.status).toBe(400);
    const text = JSON.stringify(answer.body);
    for (const word of ['uri', 'url', 'files']) expect(text).toContain(word);
  });

  it('says of an unreachable libvirt host that it cannot be reached, and why', async () => {
    const id = await godwit.endpoint('gone', 'libvirt', { uri: 'qemu+tcp://127.0.0.1:1/system' });
    const answer = await godwit.request('POST', `/endpoints/${id}/actions`, { 'validate-connection': null });
    expect(answer.status).toBe(200);
    const verdict = answer.body['validate-connection'] as { valid: boolean; message: string };
    expect(verdict.valid).toBe(false);
    expect(verdict.message).toMatch(/Cannot connect to .*refused/is);
  });

  it('refuses a wrong password with 401 and a login without end with a limit', async () => {
    const login = (password: string) =>
      fetch(`${godwit.url}/identity/v3/auth/tokens`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          auth: {
            identity: {
              methods: ['password'],
              password: { user: { name: 'nobody', password, domain: { name: 'Default' } } },
            },
          },
        }),
      });
    expect((await login('wrong')).status).toBe(401);
    const statuses = [];
    for (let i = 0; i < 40; i += 1) statuses.push((await login(`guess${i}`)).status);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
  });

  it('refuses a disk that shrank and leaves the replica alone', async () => {
    const { vm, target, transfer } = await pair({ 'a.raw': fill(random, Buffer.alloc(4 * MiB)) });
    expect((await godwit.ended(await godwit.execute(transfer))).status).toBe('COMPLETED');
    const replica = onlyFile(target, 'a');
    truncateSync(path.join(vm, 'a.raw'), 2 * MiB);
    const execution = await godwit.ended(await godwit.execute(transfer));
    expect(execution.status).toBe('ERROR');
    expect(told(execution)).toMatchObject({ code: 'DISK_SHRANK' });
    expect(told(execution).remedy).not.toBe('');
    expect(statSync(replica).size).toBe(4 * MiB);
  });

  it('follows a disk that grew', async () => {
    const { vm, target, transfer } = await pair({ 'a.raw': fill(random, Buffer.alloc(4 * MiB)) });
    expect((await godwit.ended(await godwit.execute(transfer))).status).toBe('COMPLETED');
    const file = path.join(vm, 'a.raw');
    truncateSync(file, 6 * MiB + 512);
    overwrite(file, 5 * MiB, fill(random, Buffer.alloc(MiB)));
    expect((await godwit.ended(await godwit.execute(transfer))).status).toBe('COMPLETED');
    expect(same(file, onlyFile(target, 'a'))).toBe('');
  });

  it('refuses a target disk that somebody cut short', async () => {
    const { vm, target, transfer } = await pair({ 'a.raw': fill(random, Buffer.alloc(4 * MiB)) });
    expect((await godwit.ended(await godwit.execute(transfer))).status).toBe('COMPLETED');
    truncateSync(onlyFile(target, 'a'), MiB);
    overwrite(path.join(vm, 'a.raw'), 0, fill(random, Buffer.alloc(MiB)));
    const execution = await godwit.ended(await godwit.execute(transfer));
    expect(execution.status).toBe('ERROR');
    expect(told(execution)).toMatchObject({ code: 'TARGET_TOO_SMALL' });
  });

  it('names the block of a replica that somebody wrote to, and heals it in the next run', async () => {
    const { vm, target, transfer } = await pair({ 'a.raw': fill(random, Buffer.alloc(4 * MiB)) });
    expect((await godwit.ended(await godwit.execute(transfer))).status).toBe('COMPLETED');
    const replica = onlyFile(target, 'a');
    overwrite(replica, 3 * MiB + 5, Buffer.from([0x5a]));
    const execution = await godwit.ended(await godwit.execute(transfer, true));
    expect(execution.status).toBe('ERROR');
    expect(told(execution)).toMatchObject({ code: 'VERIFY_MISMATCH' });
    expect(told(execution).message).toContain(String(3 * MiB));
    expect((await godwit.ended(await godwit.execute(transfer, true))).status).toBe('COMPLETED');
    expect(same(path.join(vm, 'a.raw'), replica)).toBe('');
  });

  it('takes a new snapshot when a file changes under a watched copy, and ends equal', async () => {
    const { vm, target, transfer } = await pair(
      { 'a.raw': fill(random, Buffer.alloc(24 * MiB)) },
      { options: { rate_limit: 2 * MiB }, source_environment: { freeze: 'watch' } },
    );
    const file = path.join(vm, 'a.raw');
    const route = await godwit.execute(transfer);
    const copied = async (): Promise<number> => {
      const { execution } = JSON.parse((await godwit.read(route)).text) as {
        execution: { tasks: { progress_updates: { current_step: number; message: string }[] }[] };
      };
      const updates = execution.tasks.flatMap((task) => task.progress_updates);
      return updates.find(({ message }) => message.startsWith('Replicating disk'))?.current_step ?? 0;
    };
    // What is written there then, this snapshot can never tell: its beginning is across.
    await godwit.until('it copies', async () => (await copied()) > 2 * MiB, 60_000);
    overwrite(file, 0, fill(random, Buffer.alloc(MiB)));
    await godwit.get('PUT', `/transfers/${transfer}/limits`, 'limits', { limits: { rate_limit: null } });
    const execution = await godwit.ended(route);
    expect(execution.status).toBe('COMPLETED');
    expect(same(file, onlyFile(target, 'a'))).toBe('');
  });

  it('says which VMDK is corrupt', async () => {
    const junk = Buffer.concat([Buffer.from('KDMV'), fill(random, Buffer.alloc(MiB))]);
    const { transfer } = await pair({ 'a.vmdk': junk });
    const execution = await godwit.ended(await godwit.execute(transfer));
    expect(execution.status).toBe('ERROR');
    expect(told(execution)).toMatchObject({ code: 'DISK_CORRUPT' });
    expect(`${told(execution).object} ${told(execution).message}`).toContain('a.vmdk');
  });

  // Only root may mount a small file system to fill; for others the NBD suite plays a full disk with nbdkit.
  const asRoot = process.getuid?.() === 0 ? it : undefined;
  asRoot?.('stops at a full target and goes on when there is room', async () => {
    const target = path.join(folder, 'small');
    mkdirSync(target);
    const mount = (options: string) =>
      spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', target], { encoding: 'utf8' });
    expect(mount('size=8m').status).toBe(0);
    try {
      const { vm, transfer } = await pair({ 'a.raw': fill(random, Buffer.alloc(16 * MiB)) }, {}, target);
      const execution = await godwit.ended(await godwit.execute(transfer));
      expect(execution.status).toBe('ERROR');
      expect(told(execution)).toMatchObject({ code: 'TARGET_FULL' });
      expect(mount('remount,size=64m').status).toBe(0);
      expect((await godwit.ended(await godwit.execute(transfer))).status).toBe('COMPLETED');
      expect(same(path.join(vm, 'a.raw'), onlyFile(target, 'a'))).toBe('');
    } finally {
      spawnSync('umount', ['-l', target]);
    }
  });

  it('leaves nothing alive in the ledger that a run should have removed', async () => {
    await godwit.until(
      'reaped',
      async () => {
        const rows = await godwit.get<{ keep: string }[]>('GET', '/ledger', 'ledger');
        return rows.every((row) => row.keep !== 'execution');
      },
      60_000,
    );
  });
});

function overwrite(file: string, offset: number, bytes: Buffer): void {
  const fd = openSync(file, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** The one replica file below a target folder whose name starts so. */
function onlyFile(target: string, stem: string): string {
  const found = spawnSync('find', [target, '-type', 'f', '-name', `${stem}*.raw`], { encoding: 'utf8' });
  const files = found.stdout.trim().split('\n').filter(Boolean);
  if (files.length !== 1) throw new Error(`expected one file ${stem}*.raw below ${target}, found: ${files.join(', ')}`);
  return files[0] ?? '';
}

/** What `cmp` says: '' when equal. */
function same(a: string, b: string): string {
  const cmp = spawnSync('cmp', [a, b], { encoding: 'utf8' });
  return `${cmp.stdout}${cmp.stderr}`;
}
