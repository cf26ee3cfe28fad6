import { createHmac, randomBytes } from 'node:crypto';

/**
 * Signatures as the Standard Webhooks specification 1.0.0 has them, so that its libraries can check ours: HMAC-SHA256 over
 * `id.timestamp.body`, in base64. Pure but for `newSecret`.
 */

const PREFIX = 'whsec_';
/** Bytes that a secret may have, as the specification bounds them. */
const LEAST = 24;
const MOST = 64;

/** A fresh secret of 32 bytes. */
export function newSecret(): string {
  return PREFIX + randomBytes(32).toString('base64');
}

/** Undefined for a text that is no secret: `whsec_` and the base64 of 24 to 64 bytes. */
function keyOf(secret: string): Buffer | undefined {
  const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : '';
  const key = Buffer.from(text, 'base64');
  const whole = key.toString('base64') === text;
  return whole && key.length >= LEAST && key.length <= MOST ? key : undefined;
}

export function isSecret(text: string): boolean {
  return keyOf(text) !== undefined;
}

/**
 * The headers that prove a message.
 *
 * @param secret a valid one
 * @param id of the delivery: the same in every attempt
 * @param at Unix seconds of this attempt
 */
export function signedHeaders(secret: string, id: string, at: number, body: string): Record<string, string> {
  const mac = createHmac('sha256', keyOf(secret) ?? Buffer.alloc(0)).update(`${id}.${at}.${body}`);
  return {
    'webhook-id': id,
    'webhook-timestamp': String(at),
    'webhook-signature': `v1,${mac.digest('base64')}`,
  };
}
