import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFileDisk, PermittedDisk, WritePermit } from '../src/index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gwp-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a permit to write', () => {
  it('is past until it is given, holds for its time in every thread that shares it, and is past again', () => {
    let now = 5_000_000_000n;
    const clock = () => now;
    const permit = new WritePermit(undefined, clock);
    const elsewhere = new WritePermit(permit.shared, clock);
    expect(elsewhere.valid).toBe(false);
    permit.extend(20_000);
    expect(elsewhere.valid).toBe(true);
    now += 19_999_999_999n;
    expect(elsewhere.valid).toBe(true);
    now += 1n;
    expect(elsewhere.valid).toBe(false);
    permit.extend(-1);
    expect(elsewhere.valid).toBe(false);
  });

  it('lets nothing be written or zeroed once it is past; reading and flushing go on', async () => {
    const path = join(folder, 'disk.raw');
    await writeFile(path, new Uint8Array(131_072).fill(1));
    const permit = new WritePermit();
    permit.extend(600_000);
    const disk = new PermittedDisk(
      await openFileDisk({ kind: 'file', path, readOnly: false }),
      permit,
      'disk vda of web',
    );
    await disk.write(0, new Uint8Array(65_536).fill(2));
    permit.extend(0);
    await expect(disk.write(0, new Uint8Array(65_536).fill(3))).rejects.toMatchObject({ code: 'FENCED' });
    await expect(disk.zero(65_536, 65_536)).rejects.toMatchObject({ code: 'FENCED' });
    await disk.flush();
    const read = new Uint8Array(131_072);
    await disk.read(0, read);
    await disk.close();
    expect(Buffer.compare(read, await readFile(path))).toBe(0);
    expect([read[0], read[65_536]]).toEqual([2, 1]);
  });
});
