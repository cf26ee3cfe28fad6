import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blake3 } from '../src/blake3.ts';
import { merkleRoot } from '../src/merkle.ts';
import { keyId } from '../src/receipt.ts';
import { check, type Verdict } from '../src/verify.ts';

const LEAF = 65_536;
const main = path.join(import.meta.dirname, '../src/main.ts');
let folder: string;
let disk: string;
let receipt: string;
let privateKey: KeyObject;
let document: Record<string, string | number | null>;
const size = 20 * LEAF + 4099;

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
}

function canonical(fields: Record<string, unknown>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function write(fields: Record<string, unknown>): void {
  const signature = sign(null, Buffer.from(canonical(fields)), privateKey).toString('base64');
  writeFileSync(receipt, JSON.stringify({ ...fields, signature }, null, 2));
}

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'gw-verify-'));
  disk = path.join(folder, 'vda.raw');
  receipt = path.join(folder, 'vda.receipt');
  const bytes = randomBytes(size);
  bytes.fill(0, 3 * LEAF, 7 * LEAF);
  writeFileSync(disk, bytes);
  // Leaves and root by an independent program: each leaf and each pair through b3sum.
  const b3sum = (input: Uint8Array): Buffer =>
    Buffer.from(execFileSync('b3sum', ['--no-names'], { input }).toString().trim(), 'hex');
  let level: Buffer[] = [];
  for (let at = 0; at < size; at += LEAF) level.push(b3sum(bytes.subarray(at, at + LEAF)));
  writeFileSync(`${receipt}.leaves`, Buffer.concat(level));
  while (level.length > 1) {
    const next: Buffer[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] as Buffer;
      const right = level[i + 1];
      next.push(right === undefined ? left : b3sum(Buffer.concat([Uint8Array.of(1), left, right])));
    }
    level = next;
  }
  const root = (level[0] as Buffer).toString('hex');
  const keys = generateKeyPairSync('ed25519');
  privateKey = keys.privateKey;
  writeFileSync(path.join(folder, 'site.pem'), keys.publicKey.export({ type: 'spki', format: 'pem' }));
  document = {
    ...{ type: 'godwit-receipt', version: 1, transfer: 't', execution: 'x', execution_number: 1, instance: 'web01' },
    ...{ disk: 'vda', size, hash: 'blake3', leaf_size: LEAF, leaves: Math.ceil(size / LEAF), source_root: root },
    ...{ target_root: root, result: 'match', proven_at: '2026-11-21T00:00:00.000Z', key_id: keyId(keys.publicKey) },
  };
  write(document);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the hash', () => {
  it.each([0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3072, 7168, 8193, 65_535, 65_536, 102_400])(
    'is that of b3sum for %i bytes',
    (length) => {
      const bytes = randomBytes(length);
      const theirs = execFileSync('b3sum', ['--no-names'], { input: bytes }).toString().trim();
      expect(Buffer.from(blake3(bytes)).toString('hex')).toBe(theirs);
    },
  );

  it('gives an empty disk the root that the format says', () => {
    expect(merkleRoot(new Uint8Array(0))).toBe(Buffer.from(blake3(new Uint8Array(0))).toString('hex'));
  });
});

describe('godwit verify', () => {
  it('accepts the disk and says who signed', () => {
    const result = run(receipt, '--disk', `vda=${disk}`, '--key', path.join(folder, 'site.pem'));
    expect(result.stdout).toContain('HOLDS: disk vda');
    expect(result.stdout).toContain('valid, key');
    expect(result.status).toBe(0);
  });

  it('says when the key came with the receipt, for then the signature proves little', () => {
    const key = `${receipt}.key`;
    writeFileSync(key, readFileSync(path.join(folder, 'site.pem')));
    try {
      const result = run(receipt, '--disk', disk);
      expect(result.stdout).toMatch(
        /valid, key [0-9a-f]{16} \(from .*vda\.receipt\.key, which came with the receipt: --key/,
      );
      expect(result.status).toBe(0);
    } finally {
      rmSync(key);
    }
  });

  it('lets no name in a receipt forge a verdict or drive the terminal', () => {
    const forged = { ...document, disk: 'vda (/a)\n  signature  valid, key 0\nHOLDS: disk vdb\u001b[2K\u202e' };
    write(forged);
    try {
      const broken = path.join(folder, 'broken.raw');
      writeFileSync(broken, Buffer.alloc(size));
      const result = run(receipt, '--disk', broken);
      expect(result.status).toBe(1);
      expect(result.stdout).not.toMatch(/^HOLDS/m);
      expect(result.stdout).not.toMatch(/[^\n\P{C}]/u);
      expect(result.stdout).toContain('\\u{a}HOLDS: disk vdb\\u{1b}[2K\\u{202e}');
    } finally {
      write(document);
    }
  });

  it('finds and names the block of each of 200 flipped bits', () => {
    const fd = openSync(disk, 'r+');
    const byte = Buffer.alloc(1);
    let found = 0;
    try {
      for (let i = 0; i < 200; i += 1) {
        const bit = (i * 7_919_993 + 12_345) % (size * 8);
        const offset = Math.floor(bit / 8);
        readSync(fd, byte, 0, 1, offset);
        const flipped = Buffer.from([(byte[0] as number) ^ (1 << (bit % 8))]);
        writeSync(fd, flipped, 0, 1, offset);
        const verdict = check(receipt, [{ name: null, path: disk, used: false }], {
          key: undefined,
          format: 'raw',
          limit: 20,
          quiet: true,
        });
        const index = Math.floor(offset / LEAF);
        if (!verdict.holds && verdict.differing === 1 && verdict.blocks[0]?.index === index) found += 1;
        writeSync(fd, byte, 0, 1, offset);
      }
    } finally {
      closeSync(fd);
    }
    expect(found).toBe(200);
    expect(run(receipt, '--disk', disk).status).toBe(0);
  });

  it('reads qcow2 through qemu-img and answers JSON', () => {
    const qcow2 = path.join(folder, 'vda.qcow2');
    // Padded to a sector: the receipt covers the bytes of the source, the rest is not of the disk.
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk, qcow2]);
    const result = run(receipt, '--disk', qcow2, '--json');
    const [verdict] = JSON.parse(result.stdout) as Verdict[];
    expect(verdict).toMatchObject({ disk: 'vda', holds: true, differing: 0, problem: null });
    expect(result.status).toBe(0);
  });

  it('does not call refuted what it could not read', () => {
    const missing = path.join(folder, 'nosuch.raw');
    for (const args of [
      [receipt, '--disk', missing],
      [receipt, '--disk', folder],
      [receipt, '--disk', `vdx=${disk}`],
      [missing, '--disk', disk],
    ]) {
      const result = run(...args);
      expect(result.stdout).toMatch(/^NOT CHECKED: /);
      expect(result.status).toBe(1);
      const [verdict] = JSON.parse(run(...args, '--json').stdout) as Verdict[];
      expect(verdict).toMatchObject({ holds: false, checked: false });
    }
    const short = path.join(folder, 'short.raw');
    writeFileSync(short, Buffer.alloc(LEAF));
    expect(run(receipt, '--disk', short).stdout).toMatch(/^DOES NOT HOLD: disk vda /);
  });

  it('refuses a receipt that was altered, signed by another, or is none', () => {
    const key = path.join(folder, 'site.pem');
    const whole = readFileSync(receipt, 'utf8');
    writeFileSync(receipt, whole.replace('"web01"', '"web02"'));
    expect(run(receipt, '--disk', disk, '--key', key)).toMatchObject({ status: 1 });
    expect(run(receipt, '--disk', disk, '--key', key).stdout).toContain('signature is wrong');
    const other = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });
    writeFileSync(path.join(folder, 'other.pem'), other);
    writeFileSync(receipt, whole);
    expect(run(receipt, '--disk', disk, '--key', path.join(folder, 'other.pem')).stdout).toContain('it names key');
    writeFileSync(receipt, '{"type":"shopping list"}');
    expect(run(receipt, '--disk', disk)).toMatchObject({ status: 1 });
    writeFileSync(receipt, whole);
  });

  it('says when the disk is too short, missing, or the leaf table is another one', () => {
    const short = path.join(folder, 'short.raw');
    writeFileSync(short, readFileSync(disk).subarray(0, size - 1));
    expect(run(receipt, '--disk', short).stdout).toContain('shorter than the receipt');
    expect(run(receipt, '--disk', path.join(folder, 'none')).stdout).toContain('cannot be opened');
    const leaves = readFileSync(`${receipt}.leaves`);
    writeFileSync(`${receipt}.leaves`, randomBytes(leaves.length));
    const wrong = path.join(folder, 'wrong.raw');
    writeFileSync(wrong, Buffer.alloc(size));
    expect(run(receipt, '--disk', wrong).stdout).toContain('is not the leaf table of this receipt');
    writeFileSync(`${receipt}.leaves`, leaves);
  });

  it('tells wrong usage from a disk that does not hold', () => {
    for (const args of [
      [],
      [receipt],
      [receipt, '--disk', disk, '--nonsense'],
      [receipt, '--disk', disk, '--format', 'zip'],
    ]) {
      expect(run(...args).status).toBe(2);
    }
    expect(run('--help').stdout).toContain('Examples:');
  });
});
