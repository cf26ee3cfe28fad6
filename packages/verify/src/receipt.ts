import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';

/** The fields of a receipt that the check needs (docs/receipt.md); the rest is signed all the same. */
export interface Receipt {
  disk: string;
  instance: string;
  /** Bytes of the source disk, 0 and more. */
  size: number;
  leafSize: number;
  leaves: number;
  sourceRoot: string;
  targetRoot: string | null;
  keyId: string;
  provenAt: string;
}

/** Why a document is not a receipt, or not one that holds. */
export class BadReceipt extends Error {}

/**
 * Reads a receipt and checks what can be checked without the disk: form, inner consistency and, with `key`, the signature.
 *
 * @param text the file
 * @param key Ed25519 public key; null: the signature is not checked
 * @throws BadReceipt
 */
export function readReceipt(text: string, key: KeyObject | null): Receipt {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new BadReceipt(`it is not JSON: ${(error as Error).message}`);
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new BadReceipt('it is not a JSON object');
  }
  const fields = document as Record<string, unknown>;
  const receipt: Receipt = {
    disk: stringAt(fields, 'disk'),
    instance: stringAt(fields, 'instance'),
    size: countAt(fields, 'size'),
    leafSize: countAt(fields, 'leaf_size'),
    leaves: countAt(fields, 'leaves'),
    sourceRoot: rootAt(fields, 'source_root'),
    targetRoot: fields.target_root === null ? null : rootAt(fields, 'target_root'),
    keyId: stringAt(fields, 'key_id'),
    provenAt: stringAt(fields, 'proven_at'),
  };
  if (fields.type !== 'godwit-receipt' || fields.version !== 1) throw new BadReceipt('it is no receipt of version 1');
  if (fields.hash !== 'blake3' || receipt.leafSize !== 65_536) throw new BadReceipt('its hash or leaf size is unknown');
  if (receipt.leaves !== Math.ceil(receipt.size / receipt.leafSize))
    throw new BadReceipt('leaves and size do not agree');
  if (fields.result === 'match' && receipt.targetRoot !== receipt.sourceRoot) throw new BadReceipt('its roots differ');
  if (key !== null) checkSignature(fields, key);
  return receipt;
}

function checkSignature(fields: Record<string, unknown>, key: KeyObject): void {
  const { signature, ...document } = fields;
  if (typeof signature !== 'string') throw new BadReceipt('it is not signed');
  const id = keyId(key);
  if (document.key_id !== id) throw new BadReceipt(`it names key ${String(document.key_id)}, the given key is ${id}`);
  const text = Buffer.from(canonical(document), 'utf8');
  if (!verify(null, text, key, Buffer.from(signature, 'base64'))) {
    throw new BadReceipt('its signature is wrong: the document was altered, or signed with another key');
  }
}

/** First 16 hexadecimal digits of SHA-256 over the 32 bytes of the public key. */
export function keyId(key: KeyObject): string {
  const raw = key.export({ type: 'spki', format: 'der' }).subarray(-32);
  return createHash('sha256').update(raw).digest('hex').slice(0, 16);
}

/** An Ed25519 public key from PEM. @throws BadReceipt */
export function readKey(pem: string): KeyObject {
  try {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (error) {
    throw new BadReceipt(`the key cannot be read: ${(error as Error).message}`);
  }
  throw new BadReceipt('the key is not an Ed25519 key');
}

/** JSON with sorted keys and no spaces (RFC 8785; the document has no fractions). */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}

function stringAt(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value === 'string') return value;
  throw new BadReceipt(`"${name}" is missing or not a text`);
}

function countAt(fields: Record<string, unknown>, name: string): number {
  const value = fields[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new BadReceipt(`"${name}" is missing or not a count`);
}

function rootAt(fields: Record<string, unknown>, name: string): string {
  const value = stringAt(fields, name);
  if (/^[0-9a-f]{64}$/.test(value)) return value;
  throw new BadReceipt(`"${name}" is not 64 hexadecimal digits`);
}
