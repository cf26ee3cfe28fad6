import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { GodwitError, type Json, type JsonObject } from '@godwit/domain';

/** First byte of sealed bytes: version, so that another cipher can follow. */
const VERSION = 1;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

interface KeyFile {
  /** Id of the key that seals. */
  current: string;
  /** Key id -> 32 bytes in base64, newest first. Former keys stay until nothing sealed by them is left. */
  keys: Record<string, string>;
}

/** Where a sealed value lies: bound into it, so that a row's secret copied into another row does not open. */
export interface SealedPlace {
  table: 'endpoint' | 'setting' | 'webhook';
  id: string;
}

/**
 * Seals values with AES-256-GCM. Form: version byte, key id length byte, key id, nonce (12), tag (16), ciphertext; the
 * associated data are the table and the row's id.
 */
export class SecretBox {
  readonly #file: string;
  #keys: ReadonlyMap<string, Buffer> = new Map();
  #current = '';
  /** Inode and change time of what was read: a rotation replaces the file while this process runs. */
  #stamp = '';
  /** Reads a value that lies with a key manager, by its reference. Set by who knows one. */
  external: (reference: string) => Promise<JsonObject> = async (reference) => {
    throw new GodwitError('CONFIG_INVALID', 'GODWIT_AUTH', {
      reason: `the secret ${reference} lies with a key manager, which only "keystone" knows`,
    });
  };

  private constructor(file: string) {
    this.#file = file;
    this.#refresh();
  }

  #refresh(): void {
    const { ino, mtimeMs } = statSync(this.#file);
    const stamp = `${ino} ${mtimeMs}`;
    if (stamp === this.#stamp) return;
    const content = readKeyFile(this.#file);
    this.#current = content.current;
    this.#keys = new Map(Object.entries(content.keys).map(([id, key]) => [id, Buffer.from(key, 'base64')]));
    this.#stamp = stamp;
  }

  /**
   * Reads the key file; with `create` makes it (0600, its folder 0700) when it does not exist.
   *
   * @param file usually GODWIT_HOME/keys/secrets.json
   * @throws GodwitError SECRET_KEY_FILE when it is unusable, or there is none and `create` is false
   */
  static load(file: string, create = false): SecretBox {
    if (!existsSync(file)) {
      if (!create) throw new GodwitError('SECRET_KEY_FILE', file, { reason: 'it does not exist' });
      createKeyFile(file);
    }
    return new SecretBox(file);
  }

  /** Adds a fresh key and makes it the one that seals; old ones still open. Returns the box with it. */
  static addKey(file: string): SecretBox {
    const old = readKeyFile(file);
    const id = newKeyId();
    replaceKeyFile(file, {
      current: id,
      keys: { [id]: randomBytes(KEY_BYTES).toString('base64'), ...old.keys },
    });
    return new SecretBox(file);
  }

  /**
   * Forgets all keys but the newest two: only after everything was sealed anew. The former one stays for a process that
   * was just sealing with it; the next rotation catches up with that value.
   */
  static dropOldKeys(file: string): void {
    const { current, keys } = readKeyFile(file);
    replaceKeyFile(file, { current, keys: Object.fromEntries(Object.entries(keys).slice(0, 2)) });
  }

  /**
   * Adds the keys of another key file (its text) to those here, so that what they sealed opens too; without a file here
   * the other one becomes it. What seals stays what it was.
   *
   * @throws GodwitError SECRET_KEY_FILE when the text is no key file
   */
  static adopt(file: string, text: string): SecretBox {
    const other = parseKeyFile(file, text);
    if (!existsSync(file)) {
      mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      replaceKeyFile(file, other);
    } else {
      const own = readKeyFile(file);
      replaceKeyFile(file, {
        current: own.current,
        keys: { ...other.keys, ...own.keys, [own.current]: own.keys[own.current]! },
      });
    }
    return new SecretBox(file);
  }

  /** Id of the key that seals. */
  get keyId(): string {
    return this.#current;
  }

  /** Seals any JSON value for the given place. */
  seal(place: SealedPlace, value: Json): Buffer {
    this.#refresh();
    const id = Buffer.from(this.#current, 'utf8');
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#keys.get(this.#current)!, nonce);
    cipher.setAAD(associatedData(place));
    const text = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()]);
    return Buffer.concat([Buffer.from([VERSION, id.length]), id, nonce, cipher.getAuthTag(), text]);
  }

  /** @throws GodwitError SECRET_KEY_MISSING when what this key sealed could not be opened */
  requireKey(id: string): void {
    this.#key(id);
  }

  #key(id: string): Buffer {
    if (!this.#keys.has(id)) this.#refresh();
    const key = this.#keys.get(id);
    if (key === undefined) throw new GodwitError('SECRET_KEY_MISSING', `${id} (wanted in ${this.#file})`);
    return key;
  }

  /**
   * Opens what was sealed for this place.
   *
   * @throws GodwitError SECRET_KEY_MISSING when its key is not in the file; SECRET_CORRUPT when it was altered or belongs
   *   to another place
   */
  open(place: SealedPlace, sealed: Uint8Array): Json {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const what = `secret of ${place.table} ${place.id}`;
    const id = sealedKeyId(bytes);
    const body = 2 + Buffer.byteLength(id ?? '');
    if (id === undefined || bytes.length < body + NONCE_BYTES + TAG_BYTES) {
      throw new GodwitError('SECRET_CORRUPT', what);
    }
    const key = this.#key(id);
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(body, body + NONCE_BYTES));
      decipher.setAAD(associatedData(place));
      decipher.setAuthTag(bytes.subarray(body + NONCE_BYTES, body + NONCE_BYTES + TAG_BYTES));
      const text = Buffer.concat([decipher.update(bytes.subarray(body + NONCE_BYTES + TAG_BYTES)), decipher.final()]);
      return JSON.parse(text.toString('utf8')) as Json;
    } catch (cause) {
      throw new GodwitError('SECRET_CORRUPT', what, {}, { cause });
    }
  }
}

/** Id of the key that sealed these bytes; undefined when they are not sealed bytes. */
export function sealedKeyId(sealed: Uint8Array): string | undefined {
  const length = sealed[1];
  if (sealed[0] !== VERSION || length === undefined || sealed.length < 2 + length) return undefined;
  return Buffer.from(sealed.subarray(2, 2 + length)).toString('utf8');
}

const associatedData = (place: SealedPlace): Buffer => Buffer.from(`${place.table}/${place.id}`, 'utf8');
const newKeyId = (): string => `k${randomBytes(6).toString('hex')}`;

function createKeyFile(file: string): void {
  const id = newKeyId();
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = writeDraft(file, { current: id, keys: { [id]: randomBytes(KEY_BYTES).toString('base64') } });
  try {
    // A link never overwrites: of two processes that start at once, one wins and both read the winner's file.
    linkSync(draft, file);
  } catch (error) {
    if (!existsSync(file)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function replaceKeyFile(file: string, content: KeyFile): void {
  renameSync(writeDraft(file, content), file);
}

function writeDraft(file: string, content: KeyFile): string {
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flush: true });
  chmodSync(draft, 0o600);
  return draft;
}

function readKeyFile(file: string): KeyFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GodwitError('SECRET_KEY_FILE', file, { reason }, { cause: error });
  }
  return parseKeyFile(file, text);
}

function parseKeyFile(file: string, text: string): KeyFile {
  const refuse = (reason: string, cause?: unknown) => new GodwitError('SECRET_KEY_FILE', file, { reason }, { cause });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error), error);
  }
  if (!isKeyFile(content)) throw refuse('it does not hold the keys of a Godwit');
  return content;
}

function isKeyFile(content: unknown): content is KeyFile {
  if (typeof content !== 'object' || content === null || !('current' in content) || !('keys' in content)) return false;
  const { current, keys } = content;
  if (typeof current !== 'string' || typeof keys !== 'object' || keys === null) return false;
  return (
    Object.hasOwn(keys, current) &&
    Object.values(keys).every((key) => typeof key === 'string' && Buffer.from(key, 'base64').length === KEY_BYTES)
  );
}
