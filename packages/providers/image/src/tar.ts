import type { FileHandle } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain';

/** A file in an archive, read in place. Bytes. */
export interface TarMember {
  name: string;
  offset: number;
  length: number;
}

const BLOCK = 512;
/** An OVA holds a handful of files. */
const MAX_MEMBERS = 1_000;
/** Extended headers hold names; longer ones are refused. */
const MAX_HEADER = 65_536;

/**
 * The files of a tar archive (ustar, GNU, pax), by its headers alone. Nothing is ever unpacked by the names in it; names
 * that lead outside, links and devices are refused all the same, since no honest export has them.
 *
 * @param stopAfter stops when it says so of a member; the members so far are the answer
 * @throws GodwitError DISK_CORRUPT
 */
export async function readTar(
  file: FileHandle,
  object: string,
  stopAfter?: (member: TarMember) => boolean,
): Promise<TarMember[]> {
  const refuse = (reason: string) => new GodwitError('DISK_CORRUPT', object, { format: 'OVA', reason });
  const { size } = await file.stat();
  const members: TarMember[] = [];
  const seen = new Set<string>();
  let longName: string | null = null;
  let longSize: number | null = null;
  for (let offset = 0; offset !== size || offset === 0; ) {
    const header = await readExactly(file, offset, BLOCK);
    if (header === null) throw refuse(members.length === 0 ? 'it is empty or cut off' : 'it ends in a header');
    if (header.every((byte) => byte === 0)) break;
    if (!checksumHolds(header)) throw refuse(`no header at byte ${offset}`);
    const type = String.fromCharCode(header[156] ?? 0);
    const length = (type === 'x' || type === 'g' || type === 'L' ? null : longSize) ?? numberAt(header, 124, 12);
    if (length === null || length < 0) throw refuse(`no size in the header at byte ${offset}`);
    const start = offset + BLOCK;
    offset = start + Math.ceil(length / BLOCK) * BLOCK;
    if (type === 'L' || type === 'x' || type === 'g') {
      if (length > MAX_HEADER) throw refuse('an extended header is too long');
      const body = await readExactly(file, start, length);
      if (body === null) throw refuse('it ends in a header');
      if (type === 'L') longName = textAt(body, 0, body.length);
      if (type === 'x') {
        const records = paxRecords(body);
        longName = records.get('path') ?? longName;
        const stated = records.get('size');
        if (stated !== undefined) longSize = Number.parseInt(stated, 10);
        if ([...records.keys()].some((key) => key.startsWith('GNU.sparse'))) throw refuse('it holds sparse files');
      }
      continue;
    }
    const prefix = textAt(header, 257, 5) === 'ustar' && header[262] === 0 ? textAt(header, 345, 155) : '';
    const short = textAt(header, 0, 100);
    const name = (longName ?? (prefix === '' ? short : `${prefix}/${short}`)).replace(/^(\.\/)+/, '');
    longName = null;
    longSize = null;
    if (type === '5') continue;
    if (type !== '0' && type !== '\0' && type !== '7') throw refuse(`"${name}" in it is a link or a device`);
    if (name === '' || name.startsWith('/') || name.split(/[/\\]/).includes('..')) {
      throw refuse(`"${name}" in it leads outside the archive`);
    }
    if (seen.has(name)) throw refuse(`"${name}" is in it twice`);
    if (start + length > size) throw refuse(`it ends within "${name}"`);
    if (members.length >= MAX_MEMBERS) throw refuse('it holds too many files');
    seen.add(name);
    const member = { name, offset: start, length };
    members.push(member);
    if (stopAfter?.(member)) break;
  }
  return members;
}

/** Null when the file ends before. */
export async function readExactly(file: FileHandle, offset: number, length: number): Promise<Buffer | null> {
  const buffer = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(buffer, done, length - done, offset + done);
    if (bytesRead === 0) return null;
    done += bytesRead;
  }
  return buffer;
}

function checksumHolds(header: Buffer): boolean {
  let sum = 0;
  header.forEach((byte, at) => {
    sum += at >= 148 && at < 156 ? 0x20 : byte;
  });
  return numberAt(header, 148, 8) === sum;
}

/** Octal text, or base 256 when the first bit is set (sizes beyond 8 GiB). */
function numberAt(header: Buffer, at: number, length: number): number | null {
  if (((header[at] ?? 0) & 0x80) !== 0) {
    let value = (header[at] ?? 0) & 0x7f;
    for (let index = 1; index < length; index++) value = value * 256 + (header[at + index] ?? 0);
    return Number.isSafeInteger(value) ? value : null;
  }
  const text = textAt(header, at, length).trim();
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : null;
}

function textAt(buffer: Buffer, at: number, length: number): string {
  const part = buffer.subarray(at, at + length);
  const end = part.indexOf(0);
  return part.toString('utf8', 0, end === -1 ? part.length : end);
}

function paxRecords(body: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = space === -1 ? 0 : Number.parseInt(body.toString('utf8', at, space), 10);
    if (!(length > space - at)) break;
    const record = body.toString('utf8', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    if (equals > 0) records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}
