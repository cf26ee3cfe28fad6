import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { GodwitError, type Json, type JsonObject } from '@godwit/domain';
import type { Audit } from './candidates.ts';
import { canonicalJson } from './canonical-json.ts';
import type { CopyPass } from './checkpoint-store.ts';
import type { CopyResult, Verify } from './copy.ts';
import { LEAF_SIZE } from './disk.ts';

/** What a receipt is about, as the engine knows it. */
export interface ReceiptSubject {
  transfer: string;
  execution: string;
  executionNumber: number;
  instance: string;
  disk: string;
  snapshot: {
    key: string;
    /** ISO 8601 UTC. */
    takenAt: string;
    consistency: 'crash' | 'filesystem' | 'stopped';
  };
  audit: Audit;
  verify: Verify;
  /** When the proof was complete, ISO 8601 UTC. */
  provenAt: string;
}

/**
 * The proof of one disk in one execution, as it is signed, stored and sent. Documented in docs/receipt.md; a field is
 * never renamed. Bytes and leaves are integers; digests are lower-case hexadecimal.
 */
export type Receipt = {
  type: 'godwit-receipt';
  version: 1;
  transfer: string;
  execution: string;
  execution_number: number;
  instance: string;
  disk: string;
  size: number;
  hash: 'blake3';
  leaf_size: number;
  leaves: number;
  source_root: string;
  /** Null: nothing was re-read (verify none). */
  target_root: string | null;
  /** `match`: the roots are equal. `unverified`: there is no target root. */
  result: 'match' | 'unverified';
  snapshot: { key: string; taken_at: string; consistency: string };
  proven_at: string;
  audit: Audit;
  verify: Verify;
  pass: CopyPass;
  leaves_read: number;
  leaves_hashed: number;
  leaves_zero: number;
  leaves_carried: number;
  leaves_reread: number;
  leaves_rehashed: number;
  bytes_read: number;
  bytes_sent: number;
  bytes_zeroed: number;
  bytes_skipped: number;
  bytes_resent: number;
  tracker_lied_at: number | null;
  /** Which key signed: see {@link receiptKeyId}. */
  key_id: string;
};

export type SignedReceipt = Receipt & {
  /** Ed25519 over the canonical JSON of the document without this field, base64. */
  signature: string;
};

/**
 * The document, unsigned.
 *
 * @param keyId of the key that will sign it: {@link receiptKeyId}
 */
export function buildReceipt(subject: ReceiptSubject, result: CopyResult, keyId: string): Receipt {
  const { counters } = result;
  return {
    type: 'godwit-receipt',
    version: 1,
    transfer: subject.transfer,
    execution: subject.execution,
    execution_number: subject.executionNumber,
    instance: subject.instance,
    disk: subject.disk,
    size: result.size,
    hash: 'blake3',
    leaf_size: LEAF_SIZE,
    leaves: result.leafCount,
    source_root: hex(result.sourceRoot),
    target_root: result.targetRoot ? hex(result.targetRoot) : null,
    result: result.targetRoot ? 'match' : 'unverified',
    snapshot: {
      key: subject.snapshot.key,
      taken_at: subject.snapshot.takenAt,
      consistency: subject.snapshot.consistency,
    },
    proven_at: subject.provenAt,
    audit: subject.audit,
    verify: subject.verify,
    pass: result.pass,
    leaves_read: counters.leavesRead,
    leaves_hashed: counters.leavesHashed,
    leaves_zero: counters.leavesZero,
    leaves_carried: result.leavesCarried,
    leaves_reread: counters.leavesReread,
    leaves_rehashed: counters.leavesRehashed,
    bytes_read: counters.bytesRead,
    bytes_sent: counters.bytesSent,
    bytes_zeroed: counters.bytesZeroed,
    bytes_skipped: counters.bytesSkipped,
    bytes_resent: counters.bytesResent,
    tracker_lied_at: result.trackerLied,
    key_id: keyId,
  };
}

/** Signs a document; `privateKey` is Ed25519 and fits its `key_id`. */
export function signReceipt(document: Receipt, privateKey: KeyObject): SignedReceipt {
  const signature = sign(null, Buffer.from(canonicalJson(document), 'utf8'), privateKey).toString('base64');
  return { ...document, signature };
}

/**
 * Checks signature and inner consistency of a stored receipt.
 *
 * @throws GodwitError RECEIPT_INVALID
 */
export function checkReceipt(receipt: JsonObject, publicKey: KeyObject): SignedReceipt {
  const name = `of disk ${String(receipt.disk)}`;
  const fail = (reason: string) => new GodwitError('RECEIPT_INVALID', name, { reason });
  const { signature, ...document } = receipt;
  if (typeof signature !== 'string') throw fail('it is not signed');
  if (document.key_id !== receiptKeyId(publicKey))
    throw fail(`it was signed with another key (${String(document.key_id)})`);
  const text = Buffer.from(canonicalJson(document as { [key: string]: Json }), 'utf8');
  const bytes = Buffer.from(signature, 'base64');
  // The decoder skips what is no base64: one signature must not have many spellings.
  if (bytes.toString('base64') !== signature || !verify(null, text, publicKey, bytes))
    throw fail('the signature is wrong');
  if (document.result === 'match' && document.source_root !== document.target_root) throw fail('the roots differ');
  return receipt as unknown as SignedReceipt;
}

/** Name of a key: the first 16 hexadecimal digits of SHA-256 over the 32 raw bytes of the public key. */
export function receiptKeyId(publicKey: KeyObject | Uint8Array): string {
  const raw = publicKey instanceof Uint8Array ? publicKey : rawPublicKey(publicKey);
  return createHash('sha256').update(raw).digest('hex').slice(0, 16);
}

/** The 32 bytes of an Ed25519 public key. */
export function rawPublicKey(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
}

/** A new key pair as PEM: PKCS#8 (keep it 0600) and SPKI (for those who check). */
export function makeReceiptKey(): { privatePem: string; publicPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

/** Both halves from the private PEM. */
export function readReceiptKey(privatePem: string): { privateKey: KeyObject; publicKey: KeyObject } {
  const privateKey = createPrivateKey(privatePem);
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
