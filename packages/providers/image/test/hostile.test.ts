import { execFile } from 'node:child_process';
import { mkdir, open, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { imageProvider } from '../src/index.ts';
import { Folder, ovf } from './folder.ts';
import { diskBytes, readAll } from './reading.ts';

const run = promisify(execFile);
const MIB = 1_048_576;
let folder: Folder;

beforeEach(async () => {
  folder = await Folder.make();
  // What must never be read: a file beside the endpoint's folder.
  await writeFile(folder.at('..', 'secret.raw'), Buffer.alloc(MIB, 0x53));
});
afterEach(() => folder[Symbol.asyncDispose]());

function info(id: string) {
  return imageProvider.getInstance(folder.context(), id, {});
}

function validate(id: string) {
  return imageProvider.source!.validate(folder.context(), id, {});
}

/** Overwrites bytes of a file. */
async function patch(name: string, offset: number, bytes: Uint8Array): Promise<void> {
  const file = await open(folder.at(name), 'r+');
  await file.write(bytes, 0, bytes.length, offset);
  await file.close();
}

/** A tar archive with names that tar itself would refuse to write. */
function tarOf(members: { name: string; body?: string; type?: string; link?: string }[]): Buffer {
  const blocks = members.flatMap(({ name, body = '', type = '0', link = '' }) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write('0000644\0', 100);
    header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('        ', 148);
    header.write(type, 156);
    header.write(link, 157);
    header.write('ustar\x0000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const padded = Buffer.alloc(Math.ceil(body.length / 512) * 512);
    padded.write(body);
    return [header, padded];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

describe('nothing outside the folder is read', () => {
  test('an id is a name, never a path', async () => {
    for (const id of ['../secret.raw', '..', '.', '/etc/passwd', 'a/b', 'a\0b', '']) {
      await expect(info(id), id).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
  });

  test('a symbolic link is no VM, nor a part of one', async () => {
    await symlink(folder.at('..', 'secret.raw'), folder.at('link.raw'));
    await symlink(folder.at('..'), folder.at('up'));
    expect(await imageProvider.listInstances(folder.context(), { environment: {} })).toEqual([]);
    await expect(info('link.raw')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await folder.write('a.ovf', ovf('a', [{ id: 'd', href: 'link.raw', capacity: MIB, format: 'urn:raw' }]));
    await expect(info('a.ovf')).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringMatching(/symbolic/),
    });
    await folder.write('b.ovf', ovf('b', [{ id: 'd', href: 'up/secret.raw', capacity: MIB, format: 'urn:raw' }]));
    await expect(info('b.ovf')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test.each(['../secret.raw', '/etc/passwd', '%2e%2e/secret.raw', 'file:///etc/passwd'])(
    'an OVF may not name %s',
    async (href) => {
      await folder.write('a.ovf', ovf('a', [{ id: 'd', href, capacity: MIB, format: 'urn:raw' }]));
      await expect(info('a.ovf')).rejects.toMatchObject({
        code: 'FORBIDDEN',
        message: expect.stringMatching(/refers to/),
      });
    },
  );

  test.each([
    ['a backing file', ['-b', 'SECRET', '-F', 'raw']],
    ['a backing file of unknown format', ['-b', 'SECRET']],
    ['an NBD server as backing file', ['-u', '-b', 'nbd://127.0.0.1:1/x', '-F', 'raw', 'SIZE']],
    ['a JSON backing file', ['-u', '-b', 'json:{"driver":"file","filename":"/etc/passwd"}', '-F', 'raw', 'SIZE']],
  ])('a qcow2 may not have %s outside', async (_what, options) => {
    const args = options.map((option) => option.replace('SECRET', folder.at('..', 'secret.raw')));
    const size = args.at(-1) === 'SIZE' ? [String(MIB)] : [];
    const create = [
      'create',
      '-q',
      '-f',
      'qcow2',
      ...args.filter((arg) => arg !== 'SIZE'),
      folder.at('a.qcow2'),
      ...size,
    ];
    // Newer tools insist on a backing format; without it the header must be written by hand.
    if (!create.includes('-F')) create.splice(create.indexOf('-b') + 2, 0, '-F', 'raw');
    await run('qemu-img', create);
    if (!options.includes('-F')) {
      const head = await readFile(folder.at('a.qcow2'));
      const at = head.indexOf(Buffer.from('e2792aca', 'hex'));
      await patch('a.qcow2', at, Buffer.from('deadbeef', 'hex'));
    }
    await expect(info('a.qcow2')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(readAll(folder, 'a.qcow2')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('a qcow2 may not keep its data outside', async () => {
    const data = folder.at('..', 'data.raw');
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', `data_file=${data}`, folder.at('a.qcow2'), '1M']);
    await expect(info('a.qcow2')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('a VMDK may not name an extent outside', async () => {
    await folder.write(
      'a.vmdk',
      `# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n\nRW 2048 FLAT "${folder.at('..', 'secret.raw')}" 0\n\nddb.adapterType = "ide"\n`,
    );
    await expect(info('a.vmdk')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(readAll(folder, 'a.vmdk')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('a guest that writes a qcow2 header into its raw disk gets nothing opened', async () => {
    await folder.raw('victim.raw', MIB, 0, new Uint8Array(512).fill(1));
    const create = ['create', '-q', '-f', 'qcow2', '-b', 'victim.raw', '-F', 'raw', folder.at('header')];
    await run('qemu-img', create);
    const header = await readFile(folder.at('header'));
    await rm(folder.at('header'));
    await folder.raw('guest.img', MIB, 0, header);
    await expect(info('guest.img')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await folder.raw('guest.raw', MIB, 0, header);
    expect((await info('guest.raw')).devices.disks).toMatchObject([{ format: 'raw', size_bytes: MIB }]);
  });
});

describe('hostile archives are refused', () => {
  const body = ovf('a', [{ id: 'd', href: 'd.raw', capacity: 1024, format: 'urn:raw' }]);
  test.each([
    [
      'a name that leads up',
      [
        { name: 'a.ovf', body },
        { name: '../../evil', body: 'x' },
      ],
    ],
    [
      'an absolute name',
      [
        { name: 'a.ovf', body },
        { name: '/tmp/evil', body: 'x' },
      ],
    ],
    [
      'a symbolic link',
      [
        { name: 'a.ovf', body },
        { name: 'd.raw', type: '2', link: '/etc/passwd' },
      ],
    ],
    [
      'a hard link',
      [
        { name: 'a.ovf', body },
        { name: 'd.raw', type: '1', link: '/etc/passwd' },
      ],
    ],
    [
      'a device',
      [
        { name: 'a.ovf', body },
        { name: 'd.raw', type: '3' },
      ],
    ],
    [
      'a name twice',
      [
        { name: 'a.ovf', body },
        { name: 'd.raw', body: 'x' },
        { name: 'd.raw', body: 'y' },
      ],
    ],
  ])('%s', async (_what, members) => {
    await writeFile(folder.at('a.ova'), tarOf(members));
    await expect(info('a.ova')).rejects.toMatchObject({ code: 'DISK_CORRUPT', object: 'VM a.ova' });
    expect(await imageProvider.listInstances(folder.context(), { environment: {} })).toHaveLength(1);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['no archive', Buffer.alloc(4096, 0x41)],
    ['half a header', Buffer.alloc(100, 0x41)],
    ['an archive cut off within a file', tarOf([{ name: 'a.ovf', body: body.padEnd(4096) }]).subarray(0, 2000)],
    ['an archive without OVF', tarOf([{ name: 'd.raw', body: 'x' }])],
  ])('an OVA that is %s', async (_what, content) => {
    await writeFile(folder.at('a.ova'), content);
    await expect(info('a.ova')).rejects.toMatchObject({ code: 'DISK_CORRUPT', object: 'VM a.ova' });
  });

  test.each([
    ['a document type', '<!DOCTYPE x [<!ENTITY a "b">]><Envelope/>', 'DISK_CORRUPT'],
    ['an open tag', '<Envelope><References>', 'DISK_CORRUPT'],
    ['no XML', 'hello', 'DISK_CORRUPT'],
    ['another root', '<domain><name>x</name></domain>', 'DISK_CORRUPT'],
    ['no VM', '<Envelope/>', 'DISK_CORRUPT'],
    [
      'two VMs',
      '<Envelope><VirtualSystemCollection><VirtualSystem/><VirtualSystem/></VirtualSystemCollection></Envelope>',
      'UNSUPPORTED',
    ],
  ])('an OVF with %s', async (_what, text, code) => {
    await folder.write('a.ovf', text);
    await expect(info('a.ovf')).rejects.toMatchObject({ code });
  });

  test('a packed disk that would fill the file system', async () => {
    await writeFile(folder.at('d.gz'), gzipSync(Buffer.alloc(200 * MIB), { level: 1 }));
    await folder.write(
      'a.ovf',
      ovf('a', [{ id: 'd', href: 'd.gz', capacity: MIB, compression: 'gzip', format: 'urn:raw' }]),
    );
    await expect(readAll(folder, 'a.ovf')).rejects.toMatchObject({ code: 'DISK_CORRUPT' });
  });
});

describe('damaged images are named, with the cause', () => {
  async function put(name: string, format: string, options?: string): Promise<void> {
    const raw = await folder.raw('origin.tmp', 3 * MIB, 0, diskBytes(3 * MIB));
    await folder.convert(raw, name, format, options);
    await rm(raw);
  }

  test('a streamOptimized VMDK cut off', async () => {
    await put('a.vmdk', 'vmdk', 'subformat=streamOptimized');
    await truncate(folder.at('a.vmdk'), 70_000);
    const wrong = { code: 'DISK_CORRUPT', object: 'disk a.vmdk of VM a.vmdk (a.vmdk)' };
    await expect(validate('a.vmdk')).rejects.toMatchObject(wrong);
  });

  test('a sparse VMDK cut off in its data', async () => {
    await put('a.vmdk', 'vmdk', 'subformat=monolithicSparse');
    await truncate(folder.at('a.vmdk'), 200_000);
    await expect(validate('a.vmdk')).rejects.toMatchObject({ code: 'DISK_CORRUPT' });
  });

  test('a VMDK, qcow2, VHDX or VHD that is none', async () => {
    for (const name of ['a.vmdk', 'a.qcow2', 'a.vhdx', 'a.vhd']) {
      await writeFile(folder.at(name), Buffer.alloc(MIB, 0x41));
      await expect(validate(name), name).rejects.toMatchObject({
        code: 'DISK_CORRUPT',
        object: `disk ${name} of VM ${name} (${name})`,
      });
    }
    expect(await imageProvider.listInstances(folder.context(), { environment: {} })).toHaveLength(4);
  });

  test('a qcow2 with a wrong table', async () => {
    await put('a.qcow2', 'qcow2');
    await patch('a.qcow2', 3 * 65_536, Buffer.from('8000000fffff0000', 'hex'));
    await expect(validate('a.qcow2')).rejects.toMatchObject({ code: 'DISK_CORRUPT' });
  });

  test('a differencing VHD, which qemu would read with holes', async () => {
    await put('a.vhd', 'vpc', 'subformat=dynamic');
    const { size } = await stat(folder.at('a.vhd'));
    await patch('a.vhd', size - 512 + 60, Buffer.from('00000004', 'hex'));
    await expect(info('a.vhd')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/differencing/),
    });
  });

  test('a differencing VHDX, which qemu would read with holes', async () => {
    await put('a.vhdx', 'vhdx');
    const bytes = await readFile(folder.at('a.vhdx'));
    const metadata = bytes.indexOf('metadata');
    const item = bytes.indexOf(Buffer.from('3767a1ca36fa434db3b633f0aa44e76b', 'hex'), metadata);
    const flags = metadata + bytes.readUInt32LE(item + 16) + 4;
    await patch('a.vhdx', flags, Buffer.from('02000000', 'hex'));
    await expect(info('a.vhdx')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/differencing/),
    });
  });

  test('a file that the description names and nobody brought', async () => {
    await mkdir(folder.at('web'));
    await folder.write('web/web.ovf', ovf('web', [{ id: 'd', href: 'd.vmdk', capacity: MIB }]));
    await expect(info('web')).rejects.toMatchObject({ code: 'NOT_FOUND', object: 'disk d of VM web (web/d.vmdk)' });
  });
});
