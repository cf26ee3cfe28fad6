// Over 400 lines: one recipe from packages to a bootable disk, read from top to bottom.
import { execFile } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { initramfs } from './initramfs.ts';

const exec = promisify(execFile);
const MIB = 1_048_576;
/** Modification time of every file, so that a build gives the same content every time. */
const EPOCH = 1_700_000_000;
/** Debian packages that are downloaded and unpacked, never installed. */
const ingredients = [
  ...['busybox-static', 'grub-pc-bin', 'grub-common', 'libdevmapper1.02.1'],
  // The guest agent and its libraries.
  ...['qemu-guest-agent', 'libglib2.0-0', 'libpcre2-8-0', 'libnuma1', 'libudev1', 'liburing2', 'libc6'],
];
/** What the guest agent is linked to. */
const libraries = [
  ...['ld-linux-x86-64.so.2', 'libc.so.6', 'libm.so.6', 'libglib-2.0.so.0', 'libgmodule-2.0.so.0'],
  ...['libpcre2-8.so.0', 'libnuma.so.1', 'libudev.so.1', 'liburing.so.2'],
];
/** What the kernel needs for the disks and NICs that hypervisors offer, the power button and the NIC. */
const modules = [
  'virtio_pci',
  'virtio_blk',
  'virtio_scsi',
  'sd_mod',
  'ata_piix',
  'virtio_net',
  'virtio_console',
  'button',
  'evdev',
];
/** First byte of the file system on the boot disk. */
const PARTITION_START = MIB;

/** A disk of the built guest. */
export interface GuestDisk {
  /** What it is: `boot`, `data`, `work`, `archive`. */
  role: 'boot' | 'data' | 'work' | 'archive';
  format: 'qcow2' | 'raw';
  path: string;
  /** Bytes. */
  size: number;
}

/** The four disks of a small real guest. They are masters: copy them before booting. */
export interface Guest {
  disks: GuestDisk[];
}

/** Debian packages that must be installed to build the guest. */
export const guestPackages = ['e2fsprogs', 'qemu-utils'];

/** Where built guests and downloads are kept unless told otherwise. */
export function defaultCache(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'godwit', 'guest');
}

/**
 * Builds the guest from Debian packages, or finds it in the cache. Needs no root, no loop device and nothing installed but
 * {@link guestPackages}; the first time it downloads about 37 MiB through apt.
 */
export async function buildGuest(
  cache = defaultCache(),
  say: (line: string) => void = () => undefined,
): Promise<Guest> {
  const recipe = createHash('sha256');
  for (const name of ['init', 'initramfs.ts', 'guest-build.ts']) {
    recipe.update(await readFile(join(import.meta.dirname, name)));
  }
  const home = join(cache, recipe.digest('hex').slice(0, 16));
  const found = await read(home);
  if (found !== null) return found;
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, 'build-'));
  try {
    say('downloading a kernel, busybox and GRUB from Debian');
    const root = await unpack(join(cache, 'packages'), work);
    say('making the disks');
    const out = join(work, 'out');
    await mkdir(out);
    await makeBootDisk(root, work, join(out, 'boot.qcow2'));
    await makeDataDisk(work, join(out, 'data.qcow2'));
    await makeWorkDisk(work, join(out, 'work.qcow2'));
    await makeArchive(join(out, 'archive.raw'));
    await dropOld(cache);
    // Two builders at once: the first to finish wins, both are right.
    await rename(out, home).catch(async (error: unknown) => {
      if ((await read(home)) === null) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const built = await read(home);
  if (built === null) throw new Error(`the guest built in ${home} is not complete`);
  return built;
}

/** Copies of the disks, to boot from: as `NAME-ROLE.FORMAT`. Holes stay holes. */
export async function copyGuest(guest: Guest, folder: string, name: string): Promise<Guest> {
  const disks: GuestDisk[] = [];
  for (const disk of guest.disks) {
    const path = join(folder, `${name}-${disk.role}.${disk.format}`);
    await exec('cp', ['--sparse=always', '--reflink=auto', '--', disk.path, path]);
    disks.push({ ...disk, path });
  }
  return { disks };
}

/** Guests of recipes that are no longer built; a copy in progress may still read a young one. */
async function dropOld(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!/^([0-9a-f]{16}|build-.*)$/.test(name)) continue;
    const { mtimeMs } = await stat(join(cache, name));
    if (Date.now() - mtimeMs > 3_600_000) await rm(join(cache, name), { recursive: true, force: true });
  }
}

async function read(home: string): Promise<Guest | null> {
  const disks: GuestDisk[] = [];
  for (const [role, format, size] of layout) {
    const path = join(home, `${role}.${format}`);
    const there = await stat(path).then(
      () => true,
      () => false,
    );
    if (!there) return null;
    disks.push({ role, format, path, size });
  }
  return { disks };
}

/** Of different kinds on purpose: partitioned, plain file system, busy file system, raw of an odd size. */
const layout: [role: GuestDisk['role'], format: GuestDisk['format'], size: number][] = [
  ['boot', 'qcow2', 64 * MIB],
  ['data', 'qcow2', 128 * MIB],
  ['work', 'qcow2', 96 * MIB],
  ['archive', 'raw', 17 * MIB + 4608],
];

function sizeOf(role: GuestDisk['role']): number {
  return layout.find(([known]) => known === role)![2];
}

/** Downloads the packages (once) and unpacks them into one tree. */
async function unpack(store: string, work: string): Promise<string> {
  await mkdir(store, { recursive: true });
  const kernel = await kernelPackage();
  const root = join(work, 'root');
  await mkdir(root);
  for (const name of [kernel, ...ingredients]) {
    const file = (await stored(store, name)) ?? (await download(store, name));
    await exec('dpkg-deb', ['-x', file, root]);
  }
  return root;
}

async function kernelPackage(): Promise<string> {
  for (const attempt of ['as it is', 'after an update']) {
    if (attempt !== 'as it is') await exec('apt-get', ['-qq', 'update'], { timeout: 300_000 });
    const { stdout } = await exec('apt-cache', ['depends', 'linux-image-cloud-amd64']).catch(() => ({ stdout: '' }));
    const name = /Depends: (linux-image-[\w.+-]*cloud-amd64)$/m.exec(stdout)?.[1];
    if (name !== undefined) return name;
    if (process.getuid?.() !== 0) throw new Error('no package lists: run "sudo apt-get update"');
  }
  throw new Error('Debian has no package linux-image-cloud-amd64 here');
}

async function stored(store: string, name: string): Promise<string | null> {
  const file = (await readdir(store))
    .filter((entry) => entry.startsWith(`${name}_`) && entry.endsWith('.deb'))
    .sort()
    .at(-1);
  return file === undefined ? null : join(store, file);
}

async function download(store: string, name: string): Promise<string> {
  // In a folder of its own: an interrupted download never looks like a package.
  const folder = await mkdtemp(join(store, 'get-'));
  try {
    const get = () =>
      exec('apt-get', ['-qq', '-o', 'Acquire::Retries=3', 'download', name], { cwd: folder, timeout: 600_000 });
    await get().catch(async (error: unknown) => {
      // Old package lists name versions that mirrors no longer hold.
      if (process.getuid?.() !== 0) throw error;
      await exec('apt-get', ['-qq', 'update'], { timeout: 300_000 });
      await get();
    });
    const [file] = await readdir(folder);
    if (file === undefined) throw new Error(`apt-get download ${name} brought nothing`);
    await rename(join(folder, file), join(store, file));
    return join(store, file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeBootDisk(root: string, work: string, out: string): Promise<void> {
  const tree = join(work, 'boot');
  await mkdir(join(tree, 'grub'), { recursive: true });
  const kernel = (await readdir(join(root, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (kernel === undefined) throw new Error('the kernel package has no kernel');
  await cp(join(root, 'boot', kernel), join(tree, 'vmlinuz'));
  await writeFile(join(tree, 'initrd.img'), await makeInitramfs(root));
  await writeFile(
    join(tree, 'grub', 'grub.cfg'),
    [
      'serial --unit=0 --speed=115200',
      'terminal_output serial',
      // Emulated on a busy host, the timer looks broken to the check and the kernel stops.
      'linux /vmlinuz console=ttyS0,115200 quiet panic=5 no_timer_check',
      'initrd /initrd.img',
      'boot',
      '',
    ].join('\n'),
  );
  await writeSums(tree);
  const disk = join(work, 'boot.raw');
  await makeFileSystem(disk, 'ext2', 'GWBOOT', tree, sizeOf('boot'), PARTITION_START);
  const core = join(work, 'core.img');
  const parts = ['biosdisk', 'part_msdos', 'ext2', 'normal', 'configfile', 'linux', 'serial', 'terminal', 'boot'];
  const grub = join(root, 'usr/lib/grub/i386-pc');
  await exec(
    join(root, 'usr/bin/grub-mkimage'),
    ['-O', 'i386-pc', '-d', grub, '-p', '(hd0,msdos1)/grub', '-o', core, ...parts],
    {
      env: {
        PATH: process.env.PATH,
        LC_ALL: 'C',
        LD_LIBRARY_PATH: `${join(root, 'usr/lib/x86_64-linux-gnu')}:${join(root, 'lib/x86_64-linux-gnu')}`,
      },
    },
  );
  await writeBootSectors(disk, await readFile(join(grub, 'boot.img')), await readFile(core));
  await toQcow2(disk, out);
}

/** GRUB's first sector with one bootable partition, and its core in the gap before that. */
async function writeBootSectors(disk: string, boot: Buffer, core: Buffer): Promise<void> {
  if (core.length > PARTITION_START - 512) throw new Error('GRUB does not fit before the partition');
  const sector = Buffer.alloc(512);
  boot.copy(sector, 0, 0, 440);
  sector.writeUInt32LE(0x7e57bed0, 440);
  sector[446] = 0x80;
  // Cylinders, heads and sectors that say "see the other fields".
  sector.set([0xfe, 0xff, 0xff], 447);
  sector[450] = 0x83;
  sector.set([0xfe, 0xff, 0xff], 451);
  sector.writeUInt32LE(PARTITION_START / 512, 454);
  sector.writeUInt32LE((sizeOf('boot') - PARTITION_START) / 512, 458);
  sector.writeUInt16LE(0xaa55, 510);
  const file = await open(disk, 'r+');
  try {
    await file.write(sector, 0, 512, 0);
    await file.write(core, 0, core.length, 512);
  } finally {
    await file.close();
  }
}

async function makeInitramfs(root: string): Promise<Buffer> {
  const [version] = await readdir(join(root, 'lib/modules'));
  const files = await exec('find', [join(root, 'lib/modules', version!), '-name', '*.ko']);
  const paths = new Map(files.stdout.split('\n').map((path) => [basename(path, '.ko').replaceAll('-', '_'), path]));
  const order: string[] = [];
  const add = async (name: string): Promise<void> => {
    const path = paths.get(name);
    // Built into the kernel, or in the list already.
    if (path === undefined || order.includes(name)) return;
    const text = (await readFile(path)).toString('latin1');
    const needs = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? '';
    for (const need of needs.split(',')) if (need !== '') await add(need.replaceAll('-', '_'));
    order.push(name);
  };
  for (const name of modules) await add(name);
  const shared: string[] = [];
  for (const name of libraries) {
    const found = await exec('find', [join(root, 'lib'), join(root, 'usr/lib'), '-name', name]);
    const [path] = found.stdout
      .split('\n')
      .sort()
      .filter((line) => line !== '');
    if (path === undefined) throw new Error(`the packages hold no ${name}`);
    shared.push(path);
  }
  const content = async (path: string) => new Uint8Array(await readFile(path));
  return initramfs([
    { path: 'init', content: await content(join(import.meta.dirname, 'init')), mode: 0o755 },
    { path: 'bin/busybox', content: await content(join(root, 'bin/busybox')), mode: 0o755 },
    { path: 'bin/qemu-ga', content: await content(join(root, 'usr/sbin/qemu-ga')), mode: 0o755 },
    ...(await Promise.all(
      shared.map(async (path) => ({
        // Where the loader is looked for, and where it looks.
        path: basename(path).startsWith('ld-') ? `lib64/${basename(path)}` : `lib/${basename(path)}`,
        content: await content(path),
        mode: 0o755,
      })),
    )),
    { path: 'etc/modules', content: Buffer.from(order.map((name) => `${name}.ko\n`).join('')) },
    ...(await Promise.all(
      order.map(async (name) => ({ path: `lib/modules/${name}.ko`, content: await content(paths.get(name)!) })),
    )),
  ]);
}

async function makeDataDisk(work: string, out: string): Promise<void> {
  const tree = join(work, 'data');
  for (const folder of ['etc', 'srv/www', 'var/lib/app/many']) await mkdir(join(tree, folder), { recursive: true });
  await writeFile(join(tree, 'etc/hostname'), 'godwit-guest\n');
  await writeFile(join(tree, 'srv/www/index.html'), '<h1>it works</h1>\n');
  await writeFile(join(tree, 'var/lib/app/sequence.txt'), Array.from({ length: 200_000 }, (_, n) => `${n}\n`).join(''));
  await writeFile(join(tree, 'var/lib/app/blob.bin'), noise(12 * MIB, 'data'));
  for (let n = 0; n < 200; n++) await writeFile(join(tree, `var/lib/app/many/${n}.txt`), `file ${n}\n`.repeat(n + 1));
  const sparse = await open(join(tree, 'var/lib/app/sparse.img'), 'w');
  await sparse.write('at the end of a hole', 8 * MIB);
  await sparse.close();
  await writeSums(tree);
  const disk = join(work, 'data.raw');
  await makeFileSystem(disk, 'ext4', 'GWDATA', tree, sizeOf('data'));
  await toQcow2(disk, out);
}

async function makeWorkDisk(work: string, out: string): Promise<void> {
  const tree = join(work, 'work');
  await mkdir(tree);
  await writeFile(join(tree, 'first.txt'), 'the first file of the work disk\n');
  await writeSums(tree);
  const disk = join(work, 'work.raw');
  await makeFileSystem(disk, 'ext4', 'GWWORK', tree, sizeOf('work'));
  await toQcow2(disk, out);
}

/** A header that the guest knows it by, content at the start and at the very end, a hole between. */
async function makeArchive(out: string): Promise<void> {
  const size = sizeOf('archive');
  const file = await open(out, 'w');
  try {
    await file.truncate(size);
    await file.write('GODWIT-ARCHIVE 1\n', 0);
    const head = noise(6 * MIB, 'archive');
    await file.write(head, 0, head.length, 512);
    const tail = noise(5000, 'archive tail');
    await file.write(tail, 0, tail.length, size - tail.length);
  } finally {
    await file.close();
  }
}

/** Bytes that do not compress, the same for the same seed. */
function noise(length: number, seed: string): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** `SHA256SUMS` over every file of the tree, in the form that sha256sum checks; then all times are set. */
async function writeSums(tree: string): Promise<void> {
  const names = (await readdir(tree, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const lines: string[] = [];
  for (const path of names) {
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    lines.push(`${digest}  ./${path.slice(tree.length + 1)}\n`);
  }
  await writeFile(join(tree, 'SHA256SUMS'), lines.join(''));
  for (const entry of await readdir(tree, { recursive: true })) await utimes(join(tree, entry), EPOCH, EPOCH);
}

async function makeFileSystem(
  disk: string,
  type: 'ext2' | 'ext4',
  label: string,
  tree: string,
  size: number,
  offset = 0,
): Promise<void> {
  const uuid = createHash('sha256')
    .update(label)
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, '$1-$2-$3-$4-$5');
  const file = await open(disk, 'w');
  await file.truncate(size);
  await file.close();
  const more = type === 'ext4' ? ['-J', 'size=4'] : [];
  const extended = `offset=${offset},hash_seed=${uuid},root_owner=0:0,lazy_itable_init=1`;
  await exec(
    'mke2fs',
    [
      '-q',
      '-F',
      '-t',
      type,
      '-m0',
      '-L',
      label,
      '-U',
      uuid,
      ...more,
      '-E',
      extended,
      '-d',
      tree,
      disk,
      `${(size - offset) / 1024}k`,
    ],
    { env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C', E2FSPROGS_FAKE_TIME: String(EPOCH) } },
  );
}

async function toQcow2(raw: string, out: string): Promise<void> {
  await exec('qemu-img', ['convert', '-q', '-f', 'raw', '-O', 'qcow2', '--', raw, out]);
  await rm(raw);
}
