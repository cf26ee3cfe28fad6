import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { digest } from '../../disk/src/digest.ts';
import { merkleRoot } from '../../disk/src/merkle.ts';
import { buildReceipt, makeReceiptKey, readReceiptKey, receiptKeyId, signReceipt } from '../../disk/src/receipt.ts';

/** docs/receipt.md is for strangers: what it tells them to run is run here, against a receipt of the engine's own making. */
const text = readFileSync(path.join(import.meta.dirname, '../../../docs/receipt.md'), 'utf8');
const LEAF = 65_536;
let folder: string;

function block(language: string): string {
  const match = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(text);
  if (match?.[1] === undefined) throw new Error(`docs/receipt.md has no ${language} block`);
  return match[1];
}

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'gw-stranger-'));
  const disk = Buffer.alloc(5 * LEAF + 777);
  for (let i = 0; i < disk.length; i += 13) disk[i] = i % 251;
  writeFileSync(path.join(folder, 'vda.raw'), disk);
  const leaves: Uint8Array[] = [];
  for (let at = 0; at < disk.length; at += LEAF) leaves.push(digest(disk.subarray(at, at + LEAF)));
  const table = Buffer.concat(leaves);
  const { privateKey, publicKey } = readReceiptKey(makeReceiptKey().privatePem);
  const root = merkleRoot(table);
  const receipt = buildReceipt(
    {
      transfer: 'transfer-1',
      execution: 'execution-1',
      executionNumber: 3,
      instance: 'web01 \u00fc',
      disk: 'vda',
      snapshot: { key: 'gw-1', takenAt: '2026-11-21T00:00:00.000Z', consistency: 'stopped' },
      audit: 'whole',
      verify: 'whole',
      provenAt: '2026-11-21T00:00:01.000Z',
    },
    {
      size: disk.length,
      leafCount: leaves.length,
      sourceRoot: root,
      targetRoot: root,
      pass: 'compare',
      counters: {
        bytesRead: disk.length,
        bytesSent: disk.length,
        bytesZeroed: 0,
        bytesSkipped: 0,
        bytesResent: 0,
        leavesRead: leaves.length,
        leavesHashed: 0,
        leavesZero: 0,
        leavesReread: leaves.length,
        leavesRehashed: 0,
      },
      leavesCarried: 0,
      trackerLied: null,
    },
    receiptKeyId(publicKey),
  );
  writeFileSync(path.join(folder, 'vda.receipt'), JSON.stringify(signReceipt(receipt, privateKey), null, 2));
  writeFileSync(path.join(folder, 'vda.receipt.leaves'), table);
  writeFileSync(path.join(folder, 'vda.receipt.key'), publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(path.join(folder, 'check.py'), block('python'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const python = (): { status: number | null; stdout: string } =>
  spawnSync('/usr/bin/python3', ['check.py', 'vda.receipt', 'vda.raw'], { cwd: folder, encoding: 'utf8' });

it("the page's own script accepts a receipt of the engine and names a flipped bit", () => {
  expect(python()).toMatchObject({ status: 0, stdout: 'holds\n' });
  const file = path.join(folder, 'vda.raw');
  const disk = readFileSync(file);
  disk.writeUInt8((disk[3 * LEAF + 9] ?? 0) ^ 4, 3 * LEAF + 9);
  writeFileSync(file, disk);
  expect(python()).toMatchObject({ status: 1, stdout: `block 3 differs: bytes ${3 * LEAF} to ${4 * LEAF - 1}\n` });
});

it("the page's own commands check the signature", () => {
  const run = spawnSync('sh', ['-ec', block('sh')], { cwd: folder, encoding: 'utf8' });
  expect(`${run.stdout}${run.stderr}`).toContain('Signature Verified Successfully');
});

it('the verifier and the engine agree on a receipt', () => {
  const main = path.join(import.meta.dirname, '../src/main.ts');
  const run = spawnSync(process.execPath, [main, 'vda.receipt', '--disk', 'vda.raw'], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(run.stdout).toContain('signature  valid');
});
