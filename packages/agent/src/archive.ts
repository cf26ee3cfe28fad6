import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import { GodwitError } from '@godwit/domain';

/** Processors that minions may have, by what `uname -m` calls them. */
const PROCESSORS: Readonly<Record<string, string>> = { x86_64: 'x64', aarch64: 'arm64' };
/** Files of packages/disk that both sides use. */
const SHARED = ['agent-wire', 'compression-choice', 'framed-stream', 'nbd-wire'];
/** The last file: where it is, all others are whole. */
export const LAST_FILE = 'whole';

interface PackedFile {
  name: string;
  mode: number;
  bytes: Buffer;
}

/** All that a minion needs to run the agent. */
export interface AgentArchive {
  /** Of its content. */
  hash: string;
  files: PackedFile[];
}

const archives = new Map<string, Promise<AgentArchive>>();

/**
 * The agent for minions of one processor: our runtime, the agent's files without types, the BLAKE3 add-on.
 *
 * @param machine what `uname -m` says there
 * @param object for errors
 * @throws GodwitError UNSUPPORTED when the runtime for it is not installed here
 */
export function agentArchive(machine: string, object: string): Promise<AgentArchive> {
  const made = archives.get(machine) ?? pack(machine, object);
  archives.set(machine, made);
  made.catch(() => archives.delete(machine));
  return made;
}

/** The archive as a compressed stream. @param format what the minion can unpack */
export function packed(archive: AgentArchive, format: 'zstd' | 'gzip'): Readable {
  const tar = Readable.from(tarBlocks(archive.files));
  if (format === 'gzip') return tar.pipe(createGzip({ level: 1 }));
  const params = { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 };
  return tar.pipe(createZstdCompress({ params }));
}

async function pack(machine: string, object: string): Promise<AgentArchive> {
  const processor = PROCESSORS[machine];
  const here = createRequire(import.meta.url);
  let runtime: string;
  let addOn: string;
  try {
    runtime = here.resolve(`node-linux-${processor}/bin/node`);
    addOn = createRequire(here.resolve('@napi-rs/blake-hash')).resolve(`@napi-rs/blake-hash-linux-${processor}-gnu`);
  } catch (error) {
    const what = `minions with processor ${machine}: this installation has no runtime for them`;
    throw new GodwitError('UNSUPPORTED', object, { what }, { cause: error });
  }
  const files: PackedFile[] = [
    { name: 'node', mode: 0o755, bytes: await readFile(runtime) },
    { name: 'blake3.node', mode: 0o644, bytes: await readFile(addOn) },
    { name: 'package.json', mode: 0o644, bytes: Buffer.from('{ "type": "module" }\n') },
  ];
  const own = fileURLToPath(new URL('./minion', import.meta.url));
  const sources = (await readdir(own)).sort().map((name) => join(own, name));
  const disk = join(dirname(fileURLToPath(import.meta.resolve('@godwit/disk'))));
  for (const source of [...sources, ...SHARED.map((name) => join(disk, `${name}.ts`))]) {
    const name = source.slice(dirname(source).length + 1).replace(/\.ts$/, '.js');
    const text = localized(stripped(await readFile(source, 'utf8')));
    files.push({ name, mode: 0o644, bytes: Buffer.from(text) });
  }
  const hash = createHash('sha256');
  for (const { name, mode, bytes } of files) hash.update(`${name} ${mode} ${bytes.length}\n`).update(bytes);
  files.push({ name: LAST_FILE, mode: 0o644, bytes: Buffer.alloc(0) });
  return { hash: hash.digest('hex').slice(0, 32), files };
}

/** Without types: to have the minion strip them would cost it 17 MB and, emulated, seconds. */
function stripped(text: string): string {
  const { emitWarning } = process;
  // The function is marked experimental, and says so on standard error; it is the one that runs this very file.
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(text);
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** All files lie side by side there. */
function localized(text: string): string {
  return text
    .replace(/ from '@godwit\/disk\/minion\/([\w-]+)'/g, " from './$1.js'")
    .replace(/ from '\.\/([\w-]+)\.ts'/g, " from './$1.js'");
}

/** POSIX ustar: a header of 512 bytes before each file, which is filled up to the next 512. */
function* tarBlocks(files: readonly PackedFile[]): Generator<Buffer> {
  for (const { name, mode, bytes } of files) {
    const head = Buffer.alloc(512);
    const octal = (value: number, at: number, width: number) => {
      head.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1');
    };
    head.write(name, 0, 'latin1');
    octal(mode, 100, 8);
    octal(0, 108, 8);
    octal(0, 116, 8);
    octal(bytes.length, 124, 12);
    octal(0, 136, 12);
    head.write('        0', 148, 'latin1');
    head.write('ustar\u000000', 257, 'latin1');
    const sum = head.reduce((total, byte) => total + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    yield head;
    for (let at = 0; at < bytes.length; at += 1_048_576) yield bytes.subarray(at, at + 1_048_576);
    yield Buffer.alloc((512 - (bytes.length % 512)) % 512);
  }
  yield Buffer.alloc(1_024);
}
