import { execFile } from 'node:child_process';
import { mkdir, open, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createImage, formatByName, inspectImage } from '../src/index.ts';
import { scratch } from './nbdkit.ts';

const run = promisify(execFile);
const MiB = 1_048_576;

describe('the format of an image', () => {
  it('follows from its name, never from its content', () => {
    expect(['a.qcow2', 'a.IMG', 'b/a.raw', 'a.vmdk', 'a.vhdx', 'a.vhd', 'a.vdi'].map(formatByName)).toEqual([
      'qcow2',
      'raw',
      'raw',
      'vmdk',
      'vhdx',
      'vpc',
      'vdi',
    ]);
    expect(formatByName('a')).toBeNull();
    expect(formatByName('a.iso')).toBeNull();
    expect(formatByName('a.constructor')).toBeNull();
  });

  it('is described with size, bitmaps and files', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.qcow2`;
    await createImage(path, 'qcow2', 5 * MiB);
    await run('qemu-img', ['bitmap', '--add', '-g', '65536', '-f', 'qcow2', path, 'since']);
    expect(await inspectImage(path, 'qcow2')).toMatchObject({
      path,
      format: 'qcow2',
      virtualSize: 5 * MiB,
      files: [],
      bitmaps: [{ name: 'since', granularity: 65_536, usable: true }],
    });
    for (const format of ['vmdk', 'vhdx', 'vdi'] as const) {
      const other = `${folder.path}/d.${format}`;
      await run('qemu-img', ['create', '-q', '-f', format, other, '8M']);
      expect((await inspectImage(other, format)).virtualSize).toBe(8 * MiB);
      expect((await inspectImage(other, format)).files).toEqual([]);
    }
  });

  it('raw has the size of the file to the byte, even when a guest wrote a qcow2 header into it', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    await createImage(`${folder.path}/inner.qcow2`, 'qcow2', 64 * MiB);
    await run('cp', [`${folder.path}/inner.qcow2`, path]);
    const file = await open(path, 'r+');
    await file.truncate(1_000_001);
    await file.close();
    const info = await inspectImage(path, 'raw');
    expect(info.virtualSize).toBe(1_000_001);
    expect(info.bitmaps).toEqual([]);
  });

  it('that does not hold is DISK_CORRUPT, a missing file NOT_FOUND', async () => {
    await using folder = await scratch();
    await writeFile(`${folder.path}/d.qcow2`, Buffer.alloc(65_536, 7));
    await expect(inspectImage(`${folder.path}/d.qcow2`, 'qcow2')).rejects.toMatchObject({ code: 'DISK_CORRUPT' });
    await expect(inspectImage(`${folder.path}/gone.qcow2`, 'qcow2')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(inspectImage(`${folder.path}/no/folder.qcow2`, 'qcow2')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('files that an image refers to', () => {
  it('are followed within its folder', async () => {
    await using folder = await scratch();
    const base = `${folder.path}/base.qcow2`;
    const top = `${folder.path}/top.qcow2`;
    await createImage(base, 'qcow2', MiB);
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', 'base.qcow2', top]);
    expect((await inspectImage(top, 'qcow2')).files).toEqual([base]);
    const flat = `${folder.path}/flat.vmdk`;
    await run('qemu-img', ['create', '-q', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', flat, '2M']);
    expect((await inspectImage(flat, 'vmdk')).files).toEqual([`${folder.path}/flat-flat.vmdk`]);
  });

  it('outside its folder are refused, in any disguise', async () => {
    await using folder = await scratch();
    const home = `${folder.path}/home`;
    await mkdir(home);
    await writeFile(`${folder.path}/secret`, Buffer.alloc(MiB, 1));
    await symlink(`${folder.path}/secret`, `${home}/innocent`);
    const make = async (backing: string) => {
      await createImage(`${home}/d.qcow2`, 'qcow2', MiB);
      await run('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', backing, `${home}/d.qcow2`]);
      return inspectImage(`${home}/d.qcow2`, 'qcow2');
    };
    for (const backing of [
      `${folder.path}/secret`,
      '../secret',
      'innocent',
      'nbd:unix:/run/other',
      'json:{"driver":"file","filename":"/etc/hostname"}',
      'file:../secret',
    ]) {
      await expect(make(backing), backing).rejects.toMatchObject({ code: 'FORBIDDEN' });
    }
    await run('qemu-img', [
      'create',
      '-q',
      '-f',
      'qcow2',
      '-o',
      `data_file=${folder.path}/data,data_file_raw=on`,
      `${home}/external.qcow2`,
      '1M',
    ]);
    await expect(inspectImage(`${home}/external.qcow2`, 'qcow2')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const descriptor = [
      '# Disk DescriptorFile',
      'version=1',
      'CID=fffffffe',
      'parentCID=ffffffff',
      'createType="monolithicFlat"',
      'RW 2048 FLAT "../secret" 0',
      'ddb.adapterType = "ide"',
    ];
    await writeFile(`${home}/thief.vmdk`, `${descriptor.join('\n')}\n`);
    await expect(inspectImage(`${home}/thief.vmdk`, 'vmdk')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('without a stated format are refused: a probe of a raw backing file would trust its guest', async () => {
    await using folder = await scratch();
    await createImage(`${folder.path}/base.raw`, 'raw', MiB);
    await createImage(`${folder.path}/d.qcow2`, 'qcow2', MiB);
    const path = `${folder.path}/d.qcow2`;
    await run('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', 'base.raw', path]);
    // qemu-img no longer leaves the format out; older ones did. Rename the header extension that states it.
    const bytes = await readFile(path);
    const stated = bytes.indexOf(Buffer.from('e2792aca', 'hex'));
    expect(stated).toBeGreaterThan(0);
    bytes.writeUInt32BE(0x1234_5678, stated);
    await writeFile(path, bytes);
    await expect(inspectImage(`${folder.path}/d.qcow2`, 'qcow2')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('a new image', () => {
  it('is empty and takes hardly any space', async () => {
    await using folder = await scratch();
    for (const format of ['raw', 'qcow2'] as const) {
      const path = `${folder.path}/d.${format}`;
      await createImage(path, format, 1_024 * MiB);
      expect((await inspectImage(path, format)).virtualSize).toBe(1_024 * MiB);
      expect((await stat(path)).blocks * 512).toBeLessThan(MiB);
    }
  });

  it('in a folder that does not exist is refused', async () => {
    await using folder = await scratch();
    await expect(createImage(`${folder.path}/no/d.qcow2`, 'qcow2', MiB)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
