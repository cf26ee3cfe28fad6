import { createHash, createPrivateKey, createPublicKey, hkdfSync, scryptSync } from 'node:crypto';
import type { Credentials } from './client/identity.ts';

/** PKCS #8 wrapping of a raw Ed25519 seed (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Of a stretched secret: about 50 ms and 16 MiB, once for each endpoint and process. */
const COST = { N: 16_384, r: 8, p: 1 };
const MOST_STRETCHED = 1_000;
/** By a digest of what it was made from. */
const stretched = new Map<string, Buffer>();

/** The SSH key of a minion, in both halves. */
export interface MinionKey {
  /** One line as in authorized_keys. */
  publicKey: string;
  /** PKCS #8 in PEM, unencrypted. */
  privateKey: string;
}

/**
 * The key of the minion of that name. Derived from the endpoint's secret, so that any worker that holds the endpoint can
 * speak to the minion after a crash of another, and no key is kept anywhere.
 */
export function minionKey(credentials: Credentials, name: string): MinionKey {
  const { auth, authUrl } = credentials;
  const secret = stretch(auth.kind === 'password' ? auth.password : auth.secret, authUrl);
  const info = `${authUrl}\n${name}`;
  const seed = Buffer.from(hkdfSync('sha256', secret, 'godwit minion key 2', info, 32));
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  const blob = Buffer.concat([field('ssh-ed25519'), field(Buffer.from(String(jwk.x), 'base64url'))]);
  return {
    publicKey: `ssh-ed25519 ${blob.toString('base64')} ${name}`,
    privateKey: String(key.export({ format: 'pem', type: 'pkcs8' })),
  };
}

/**
 * A secret that a person may have chosen, made dear to guess: the public half of the key lies in the cloud, where whoever sees it
 * could otherwise try millions of passwords a second.
 */
function stretch(secret: string, authUrl: string): Buffer {
  const name = createHash('sha256').update(`${authUrl}\0${secret}`).digest('hex');
  const known = stretched.get(name);
  if (known !== undefined) return known;
  const made = scryptSync(secret, `godwit minion key\n${authUrl}`, 32, COST);
  if (stretched.size >= MOST_STRETCHED) stretched.clear();
  stretched.set(name, made);
  return made;
}

/** A string of SSH's wire format (RFC 4251 5): length, then bytes. */
function field(bytes: string | Buffer): Buffer {
  const content = Buffer.from(bytes);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}
