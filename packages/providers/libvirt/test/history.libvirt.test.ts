import { copyFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lab, type LabDomain, openLab, run } from './lab.ts';
import { missedIn, request, see, source } from './reading.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
let lab: Lab;

beforeAll(async () => {
  lab = await openLab();
});
afterAll(() => lab?.stop());

const disks = [{ id: 'vda', format: 'qcow2', size: 16 * MIB }] as const;

/** What somebody does to an instance between two runs, and what the next run may say of its changes. */
interface Story {
  /** Names the domain and the test. */
  name: string;
  title: string;
  /** Before the first run. */
  prepare?: (domain: LabDomain) => Promise<unknown>;
  act: (domain: LabDomain) => Promise<unknown>;
  /** The best that can be said: `exact` is asserted, else `unknown` is. */
  says: 'exact' | 'unknown';
}

const virsh = (...args: string[]) => lab.host.virsh(...args);

/** File with the description of the next start, to define it anew. */
async function describe(domain: LabDomain): Promise<string> {
  const file = join(lab.host.dir, `${domain.name}.again.xml`);
  await writeFile(file, await virsh('dumpxml', '--inactive', domain.name));
  return file;
}

const write = (domain: LabDomain, byte: number, at: number) => domain.write('vda', byte, at * MIB, 64 * KIB);

const stories: Story[] = [
  {
    name: 'revert',
    title: 'an instance reverted to an internal snapshot',
    prepare: async (it) => {
      await write(it, 1, 1);
      await virsh('snapshot-create-as', it.name, 'old');
      await write(it, 2, 1);
    },
    act: async (it) => {
      await write(it, 3, 3);
      await it.powerOff();
      // QEMU refuses it while a bitmap records, so whoever reverts has to stop that.
      await expect(virsh('snapshot-revert', it.name, 'old')).rejects.toThrow(/active dirty bitmaps/);
      await run('qemu-img', 'bitmap', '--remove', it.files.vda ?? '', 'godwit-revert-1');
      await virsh('snapshot-revert', it.name, 'old');
    },
    says: 'unknown',
  },
  {
    name: 'restored-after',
    title: 'a file put back from a copy made after the run',
    act: async (it) => {
      await write(it, 1, 1);
      await it.powerOff();
      await copyFile(it.files.vda ?? '', join(lab.host.dir, 'restored-after.copy'));
      await it.start();
      await write(it, 2, 2);
      await it.powerOff();
      await copyFile(join(lab.host.dir, 'restored-after.copy'), it.files.vda ?? '');
    },
    says: 'exact',
  },
  {
    name: 'restored-before',
    title: 'a file put back from a copy made before the run',
    prepare: async (it) => {
      await write(it, 1, 1);
      await it.powerOff();
      await copyFile(it.files.vda ?? '', join(lab.host.dir, 'restored-before.copy'));
      await it.start();
      await write(it, 2, 1);
    },
    act: async (it) => {
      await it.powerOff();
      await copyFile(join(lab.host.dir, 'restored-before.copy'), it.files.vda ?? '');
      await it.start();
    },
    says: 'unknown',
  },
  {
    name: 'committed',
    title: 'an external snapshot taken and committed back',
    act: async (it) => {
      await write(it, 1, 1);
      await virsh('snapshot-create-as', it.name, 'mine', '--disk-only', '--no-metadata');
      await write(it, 2, 2);
      await virsh('blockcommit', it.name, 'vda', '--active', '--pivot', '--wait');
      await write(it, 3, 3);
    },
    says: 'exact',
  },
  {
    name: 'pulled',
    title: 'an external snapshot taken and its base pulled into it',
    act: async (it) => {
      await write(it, 1, 1);
      await virsh('snapshot-create-as', it.name, 'mine', '--disk-only', '--no-metadata');
      await write(it, 2, 2);
      await virsh('blockpull', it.name, 'vda', '--wait');
      await write(it, 3, 3);
    },
    says: 'unknown',
  },
  {
    name: 'copied',
    title: 'a disk moved to another file while it runs',
    act: async (it) => {
      await write(it, 1, 1);
      const file = join(lab.host.images, 'copied-moved.qcow2');
      await virsh(
        'blockcopy',
        it.name,
        'vda',
        '--dest',
        file,
        '--format',
        'qcow2',
        '--transient-job',
        '--pivot',
        '--wait',
      );
      await write(it, 2, 2);
    },
    says: 'unknown',
  },
  {
    name: 'thrown-away',
    title: 'an external snapshot whose changes were thrown away',
    act: async (it) => {
      await write(it, 1, 1);
      const description = await describe(it);
      await virsh(
        'snapshot-create-as',
        it.name,
        'mine',
        '--disk-only',
        '--no-metadata',
        '--diskspec',
        `vda,file=${join(lab.host.images, 'thrown-away.mine')}`,
      );
      await write(it, 2, 2);
      await it.powerOff();
      await rm(join(lab.host.images, 'thrown-away.mine'));
      await virsh('define', description);
      await it.start();
    },
    says: 'exact',
  },
  {
    name: 'resized',
    title: 'a disk that grew while it ran',
    act: async (it) => {
      await write(it, 1, 1);
      await virsh('blockresize', it.name, 'vda', `${20 * MIB}B`);
      await write(it, 2, 18);
    },
    says: 'exact',
  },
  {
    name: 'resized-off',
    title: 'a disk that grew while stopped',
    act: async (it) => {
      await write(it, 1, 1);
      await it.powerOff();
      await run('qemu-img', 'resize', '-q', it.files.vda ?? '', String(20 * MIB));
      await it.start();
      await write(it, 2, 18);
    },
    says: 'exact',
  },
  {
    name: 'redefined',
    title: 'an instance undefined and defined again',
    act: async (it) => {
      await write(it, 1, 1);
      const description = await describe(it);
      await it.powerOff();
      await virsh('undefine', it.name, '--checkpoints-metadata');
      await virsh('define', description);
      await it.start();
      await write(it, 2, 2);
    },
    says: 'unknown',
  },
  {
    name: 'saved',
    title: 'a saved and restored instance',
    act: async (it) => {
      await write(it, 1, 1);
      await virsh('managedsave', it.name);
      await it.start();
      await write(it, 2, 2);
    },
    says: 'exact',
  },
  {
    name: 'saved-off',
    title: 'a saved instance',
    act: async (it) => {
      await write(it, 1, 1);
      await virsh('managedsave', it.name);
    },
    says: 'exact',
  },
  {
    name: 'tool',
    title: 'a stopped disk that another program wrote to',
    act: async (it) => {
      await it.powerOff();
      await run('qemu-io', '-f', 'qcow2', '-c', `write -P 9 ${5 * MIB} 64k`, it.files.vda ?? '');
    },
    says: 'exact',
  },
  {
    name: 'replugged',
    title: 'a disk unplugged, written elsewhere and plugged in again',
    act: async (it) => {
      await write(it, 1, 1);
      await it.powerOff();
      await virsh('detach-disk', it.name, 'vda', '--config');
      await run('qemu-io', '-f', 'qcow2', '-c', `write -P 9 ${5 * MIB} 64k`, it.files.vda ?? '');
      await virsh(
        'attach-disk',
        it.name,
        it.files.vda ?? '',
        'vda',
        '--config',
        '--driver',
        'qemu',
        '--subdriver',
        'qcow2',
      );
      await it.start();
    },
    says: 'exact',
  },
  {
    name: 'rewritten',
    title: 'a file written anew by a conversion',
    act: async (it) => {
      await it.powerOff();
      const file = it.files.vda ?? '';
      await run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'qcow2', file, `${file}.new`);
      await run('qemu-io', '-f', 'qcow2', '-c', `write -P 9 ${5 * MIB} 64k`, `${file}.new`);
      await run('mv', `${file}.new`, file);
    },
    says: 'unknown',
  },
  {
    name: 'foreign',
    title: 'a bitmap of that name without the checkpoint that made it',
    act: async (it) => {
      await write(it, 1, 1);
      await virsh('checkpoint-delete', it.name, 'godwit-foreign-1');
      await it.powerOff();
      await run('qemu-img', 'bitmap', '--add', '-g', '65536', it.files.vda ?? '', 'godwit-foreign-1');
    },
    says: 'unknown',
  },
  {
    name: 'foreign-live',
    title: 'a bitmap of that name without its checkpoint, running',
    act: async (it) => {
      await write(it, 1, 1);
      await virsh('checkpoint-delete', it.name, 'godwit-foreign-live-1');
      await it.powerOff();
      await run('qemu-img', 'bitmap', '--add', '-g', '65536', it.files.vda ?? '', 'godwit-foreign-live-1');
      await it.start();
    },
    says: 'unknown',
  },
  {
    name: 'other',
    title: 'another transfer of the same instance that ran and was deleted',
    act: async (it) => {
      await write(it, 1, 1);
      const ctx = lab.context();
      const other = await source.snapshot(ctx, request('other-x', it.uuid));
      await write(it, 2, 2);
      await source.release(ctx, other, true);
      await write(it, 3, 3);
      await source.dropToken(ctx, it.uuid, 'godwit-other-x');
    },
    says: 'exact',
  },
  {
    name: 'other-off',
    title: 'another transfer of the same instance that ran while it was stopped',
    act: async (it) => {
      await write(it, 1, 1);
      await it.powerOff();
      const ctx = lab.context();
      const other = await source.snapshot(ctx, request('other-off-x', it.uuid));
      await source.release(ctx, other, true);
      await it.start();
      await write(it, 3, 3);
    },
    says: 'exact',
  },
  {
    name: 'rebased',
    title: 'a stopped disk put over a base that holds something else',
    prepare: async (it) => {
      await it.powerOff();
      const file = it.files.vda ?? '';
      for (const [name, byte] of [
        ['one', 4],
        ['two', 5],
      ] as const) {
        await run('qemu-img', 'create', '-q', '-f', 'qcow2', `${file}.${name}`, String(16 * MIB));
        await run('qemu-io', '-f', 'qcow2', '-c', `write -P ${byte} ${6 * MIB} 64k`, `${file}.${name}`);
      }
      await run('qemu-img', 'rebase', '-u', '-b', `${file}.one`, '-F', 'qcow2', file);
      await it.start();
    },
    act: async (it) => {
      await it.powerOff();
      const file = it.files.vda ?? '';
      await run('qemu-img', 'rebase', '-u', '-b', `${file}.two`, '-F', 'qcow2', file);
    },
    says: 'unknown',
  },
  {
    name: 'base-written',
    title: 'a stopped disk whose base was written to',
    prepare: async (it) => {
      await it.powerOff();
      const file = it.files.vda ?? '';
      await run('qemu-img', 'create', '-q', '-f', 'qcow2', `${file}.one`, String(16 * MIB));
      await run('qemu-img', 'rebase', '-u', '-b', `${file}.one`, '-F', 'qcow2', file);
      await it.start();
    },
    act: async (it) => {
      await it.powerOff();
      await run('qemu-io', '-f', 'qcow2', '-c', `write -P 8 ${6 * MIB} 64k`, `${it.files.vda ?? ''}.one`);
    },
    says: 'unknown',
  },
];

test.each(stories)('$title: nothing is missed ($name)', async ({ name, prepare, act, says }) => {
  const ctx = lab.context();
  const domain = await lab.domain(name, disks);
  await write(domain, 7, 0);
  await prepare?.(domain);
  const first = await source.snapshot(ctx, request(`${name}-1`, domain.uuid));
  const before = await see(ctx, first, 'vda');
  await source.release(ctx, first, true);
  await act(domain);
  const second = await source.snapshot(ctx, request(`${name}-2`, domain.uuid, { vda: first.disks[0]?.token ?? null }));
  const after = await see(ctx, second, 'vda');
  await source.release(ctx, second, false);
  expect(missedIn(before.bytes, after)).toEqual([]);
  expect(second.disks[0]?.changes).toBe(says);
});
