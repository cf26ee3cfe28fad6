import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';

/**
 * A private key as every OpenSSH client reads it: Ed25519 in PKCS #8 is put into OpenSSH's own format, which clients before
 * 9.6 need; anything else is left as it is.
 */
export function opensshKey(pem: string): string {
  if (!pem.includes('-----BEGIN PRIVATE KEY-----')) return pem;
  const key = createPrivateKey(pem);
  return key.asymmetricKeyType === 'ed25519' ? encodeEd25519(key) : pem;
}

/** Format: PROTOCOL.key of OpenSSH, unencrypted. */
function encodeEd25519(key: KeyObject): string {
  const { x, d } = key.export({ format: 'jwk' });
  const publicKey = Buffer.from(x ?? '', 'base64url');
  const secret = Buffer.concat([Buffer.from(d ?? '', 'base64url'), publicKey]);
  const type = text('ssh-ed25519');
  const check = randomBytes(4);
  let hidden = Buffer.concat([check, check, type, field(publicKey), field(secret), text('')]);
  const fill = (8 - (hidden.length % 8)) % 8;
  hidden = Buffer.concat([hidden, Buffer.from(Array.from({ length: fill }, (_, n) => n + 1))]);
  const whole = Buffer.concat([
    Buffer.from('openssh-key-v1\0', 'latin1'),
    text('none'),
    text('none'),
    text(''),
    Buffer.from([0, 0, 0, 1]),
    field(Buffer.concat([type, field(publicKey)])),
    field(hidden),
  ]);
  const lines = whole.toString('base64').replace(/(.{70})/g, '$1\n');
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length, 0);
  return Buffer.concat([length, bytes]);
}

function text(value: string): Buffer {
  return field(Buffer.from(value, 'latin1'));
}
