import { type KeyObject, randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  buildReceipt,
  type CopyResult,
  makeReceiptKey,
  type ReceiptSubject,
  readReceiptKey,
  receiptKeyId,
  type SignedReceipt,
  signReceipt,
} from '@godwit/disk';
import { GodwitError } from '@godwit/domain';

/** Key of a public key (SPKI PEM) among the settings: whoever reads a receipt finds there what to check it with. */
export const receiptKeySetting = (keyId: string): string => `receipt_key/${keyId}`;

/** Signs receipts with this machine's Ed25519 key. */
export class ReceiptSigner {
  readonly #privateKey: KeyObject;
  readonly keyId: string;
  /** SPKI PEM. */
  readonly publicPem: string;

  private constructor(privateKey: KeyObject, publicKey: KeyObject) {
    this.#privateKey = privateKey;
    this.keyId = receiptKeyId(publicKey);
    this.publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  }

  /**
   * Reads the key (PKCS#8 PEM); makes it (0600, its folder 0700) when there is none.
   *
   * @param file usually GODWIT_HOME/keys/receipt.pem
   * @throws GodwitError SECRET_KEY_FILE when it holds no Ed25519 key
   */
  static load(file: string): ReceiptSigner {
    if (!existsSync(file)) createKey(file);
    try {
      const { privateKey, publicKey } = readReceiptKey(readFileSync(file, 'utf8'));
      if (privateKey.asymmetricKeyType !== 'ed25519')
        throw new Error(`its key is of type ${privateKey.asymmetricKeyType}`);
      return new ReceiptSigner(privateKey, publicKey);
    } catch (error) {
      throw GodwitError.wrap(error, 'SECRET_KEY_FILE', file);
    }
  }

  sign(subject: ReceiptSubject, result: CopyResult): SignedReceipt {
    return signReceipt(buildReceipt(subject, result, this.keyId), this.#privateKey);
  }
}

function createKey(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, makeReceiptKey().privatePem, { mode: 0o600, flush: true });
  try {
    // A link never overwrites: of two processes that start at once, one wins and both read the winner's key.
    linkSync(draft, file);
  } catch (error) {
    if (!existsSync(file)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}
