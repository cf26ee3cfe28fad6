import { createPrivateKey, createPublicKey, hkdfSync } from 'node:crypto';
import type { Credentials } from './client/identity.ts';

/** PKCS #8 wrapping of a raw Ed25519 seed (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

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
  const secret = credentials.auth.kind === 'password' ? credentials.auth.password : credentials.auth.secret;
  const info = `${credentials.authUrl}\n${name}`;
  const seed = Buffer.from(hkdfSync('sha256', secret, 'godwit minion key 1', info, 32));
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  const blob = Buffer.concat([field('ssh-ed25519'), field(Buffer.from(String(jwk.x), 'base64url'))]);
  return {
    publicKey: `ssh-ed25519 ${blob.toString('base64')} ${name}`,
    privateKey: String(key.export({ format: 'pem', type: 'pkcs8' })),
  };
}

/** A string of SSH's wire format (RFC 4251 5): length, then bytes. */
function field(bytes: string | Buffer): Buffer {
  const content = Buffer.from(bytes);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}
