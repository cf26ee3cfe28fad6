import { createHash } from 'node:crypto';
import type { JsonObject } from '@godwit/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  buildReceipt,
  type CopyResult,
  canonicalJson,
  checkReceipt,
  makeReceiptKey,
  nothingDone,
  type Receipt,
  rawPublicKey,
  readReceiptKey,
  receiptKeyId,
  signReceipt,
} from '../src/index.ts';

const { privateKey, publicKey } = readReceiptKey(makeReceiptKey().privatePem);

function result(change: Partial<CopyResult> = {}): CopyResult {
  return {
    size: 131_073,
    leafCount: 3,
    sourceRoot: new Uint8Array(32).fill(0xab),
    targetRoot: new Uint8Array(32).fill(0xab),
    counters: { ...nothingDone(), bytesRead: 131_073, leavesRead: 3 },
    leavesCarried: 0,
    pass: 'compare',
    trackerLied: null,
    ...change,
  };
}

function receipt(change: Partial<CopyResult> = {}): Receipt {
  const subject = {
    transfer: 't1',
    execution: 'e1',
    executionNumber: 2,
    instance: 'web "01" \u00fc',
    disk: 'vda',
    snapshot: { key: 's1', takenAt: '2026-01-01T00:00:00.000Z', consistency: 'stopped' as const },
    audit: 'whole' as const,
    verify: 'whole' as const,
    provenAt: '2026-01-01T00:01:00.000Z',
  };
  return buildReceipt(subject, result(change), receiptKeyId(publicKey));
}

describe('a receipt', () => {
  it('holds under the key that signed it', () => {
    const signed = signReceipt(receipt(), privateKey);
    expect(checkReceipt(JSON.parse(JSON.stringify(signed)), publicKey)).toEqual(signed);
    expect(signed).toMatchObject({ result: 'match', source_root: 'ab'.repeat(32), tracker_lied_at: null });
  });

  it('does not hold when any field is changed, taken out or added', () => {
    const signed: JsonObject = { ...signReceipt(receipt(), privateKey) };
    const refused = (document: JsonObject) =>
      expect(() => checkReceipt(document, publicKey)).toThrow(expect.objectContaining({ code: 'RECEIPT_INVALID' }));
    for (const key of Object.keys(signed)) {
      const { [key]: value, ...rest } = signed;
      refused(rest);
      refused({ ...rest, [key]: typeof value === 'number' ? value + 1 : `${JSON.stringify(value)}x` });
    }
    refused({ ...signed, more: 1 });
    refused({ ...signed, snapshot: { ...(signed.snapshot as JsonObject), key: 's2' } });
  });

  it('does not hold under another key, and says so', () => {
    const other = readReceiptKey(makeReceiptKey().privatePem);
    const signed: JsonObject = { ...signReceipt(receipt(), privateKey) };
    expect(() => checkReceipt(signed, other.publicKey)).toThrow(/another key/);
    const forged = { ...signReceipt(receipt(), other.privateKey) };
    expect(() => checkReceipt(forged, publicKey)).toThrow(/signature is wrong/);
  });

  it('never says "match" of roots that differ, even when it was signed so', () => {
    const wrong = signReceipt({ ...receipt(), target_root: 'cd'.repeat(32) }, privateKey);
    expect(() => checkReceipt({ ...wrong }, publicKey)).toThrow(/roots differ/);
    expect(receipt({ targetRoot: null })).toMatchObject({ result: 'unverified', target_root: null });
  });

  it('names its key by SHA-256 of the raw public key', () => {
    const raw = rawPublicKey(publicKey);
    expect(raw).toHaveLength(32);
    expect(receiptKeyId(raw)).toBe(createHash('sha256').update(raw).digest('hex').slice(0, 16));
    expect(receiptKeyId(publicKey)).toBe(receiptKeyId(raw));
  });
});

describe('canonical JSON', () => {
  it('is the same text whatever the order of keys, and the same data', () => {
    const anyJson = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed()),
        fc.maxSafeInteger(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('value'), { maxLength: 3 }),
        tie('object'),
      ),
      object: fc.dictionary(fc.string(), tie('value'), { maxKeys: 3, noNullPrototype: true }),
    }));
    const shuffled = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(shuffled);
      if (value === null || typeof value !== 'object') return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, member]) => [key, shuffled(member)]),
      );
    };
    fc.assert(
      fc.property(anyJson.object, (value) => {
        const text = canonicalJson(value as JsonObject);
        expect(canonicalJson(shuffled(value) as JsonObject)).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('sorts keys by code unit, leaves no spaces and refuses numbers that writers spell differently', () => {
    expect(canonicalJson({ b: [1, { z: null, a: true }], a: '\u00fc"', '': -7 })).toBe(
      '{"":-7,"a":"\u00fc\\"","b":[1,{"a":true,"z":null}]}',
    );
    expect(() => canonicalJson({ a: 0.1 })).toThrow(TypeError);
    expect(() => canonicalJson(2 ** 60)).toThrow(TypeError);
  });
});
