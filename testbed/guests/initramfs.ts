import { gzipSync } from 'node:zlib';

/** A file of an initramfs; folders are made as needed. */
export interface InitramfsFile {
  /** Without leading slash. */
  path: string;
  content: Uint8Array;
  mode?: number;
}

/** A gzipped cpio archive (newc) that the kernel unpacks into its first root; the same bytes for the same files. */
export function initramfs(files: readonly InitramfsFile[]): Buffer {
  const folders = new Set<string>();
  for (const { path } of files) {
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) folders.add(path.slice(0, at));
  }
  for (const folder of ['dev', 'proc', 'sys', 'etc', 'bin']) folders.add(folder);
  let inode = 1;
  const parts = [
    ...[...folders].sort().map((path) => entry(path, 0o040755, inode++, new Uint8Array())),
    // Without it the kernel gives init no input and output.
    entry('dev/console', 0o020600, inode++, new Uint8Array(), 5, 1),
    ...files.map(({ path, content, mode = 0o644 }) => entry(path, 0o100000 | mode, inode++, content)),
    entry('TRAILER!!!', 0, 0, new Uint8Array()),
  ];
  return gzipSync(Buffer.concat(parts), { level: 6 });
}

function entry(name: string, mode: number, inode: number, content: Uint8Array, major = 0, minor = 0): Buffer {
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, name.length + 1, 0];
  const head = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
  return Buffer.concat([padded(Buffer.from(head, 'latin1')), padded(content)]);
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, new Uint8Array((4 - (bytes.length % 4)) % 4)]);
}
