import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { GodwitError, type JsonObject } from '@godwit/domain';
import { canonicalJson } from './canonical-json.ts';

/** Signs receipts with the installation's Ed25519 key. */
export class ReceiptSigner {
  readonly #key: KeyObject;
  /** Raw 32 bytes in base64: what a stranger checks with. */
  readonly publicKey: string;

  private constructor(key: KeyObject) {
    this.#key = key;
    this.publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-32).toString('base64');
  }

  /**
   * Reads the key (PKCS#8 PEM); makes it (0600, its folder 0700) when there is none.
   *
   * @param file usually GODWIT_HOME/keys/receipt.pem
   * @throws GodwitError SECRET_KEY_FILE when it is no Ed25519 key
   */
  static load(file: string): ReceiptSigner {
    if (!existsSync(file)) createKey(file);
    try {
      const key = createPrivateKey(readFileSync(file));
      if (key.asymmetricKeyType !== 'ed25519') throw new Error(`it holds a key of type ${key.asymmetricKeyType}`);
      return new ReceiptSigner(key);
    } catch (error) {
      throw GodwitError.wrap(error, 'SECRET_KEY_FILE', file);
    }
  }

  /** The document with its `signature`: base64 of Ed25519 over the canonical JSON of the document without it. */
  sign(document: JsonObject): JsonObject & { signature: string } {
    const signature = sign(null, Buffer.from(canonicalJson(document), 'utf8'), this.#key).toString('base64');
    return { ...document, signature };
  }
}

function createKey(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const { privateKey } = generateKeyPairSync('ed25519');
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flush: true });
  try {
    // A link never overwrites: of two processes that start at once, one wins and both read the winner's key.
    linkSync(draft, file);
  } catch (error) {
    if (!existsSync(file)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}
