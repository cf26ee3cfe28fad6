import type { ExternalSecrets } from '@godwit/api';
import { GodwitError, type JsonObject } from '@godwit/domain';
import type { KeystoneClient } from './client.ts';
import { type Answer, send } from './request.ts';

const SECRET = /^(https?:\/\/.+)\/v1\/secrets\/[0-9a-f-]{36}$/;
/** Bytes of a payload at most. */
const LARGEST = 64 * 1024;

/**
 * `connection_info` that lies in Barbican. A reference leads only to the key manager of the catalog: the service account's
 * token is never sent to an address that a user chose.
 */
export class Barbican implements ExternalSecrets {
  readonly #keystone: KeystoneClient;

  constructor(keystone: KeystoneClient) {
    this.#keystone = keystone;
  }

  /**
   * @param token whose rights count; absent: the service account's
   * @throws GodwitError INVALID_INPUT (no secret of this key manager, or no JSON object in it), AUTHENTICATION_FAILED,
   *   NOT_FOUND, CONNECTION_FAILED
   */
  async read(reference: string, token?: string): Promise<JsonObject> {
    const root = SECRET.exec(reference)?.[1];
    const known = await this.#keystone.endpointsOf('key-manager');
    if (root === undefined || !known.includes(root)) {
      throw invalid(
        `secret_ref must be .../v1/secrets/ID of the key manager in the catalog (${known[0] ?? 'there is none'})`,
      );
    }
    // Barbican weighs no alternatives: each kind of payload is asked for by itself.
    let answer = await this.#payload(`${reference}/payload`, token, 'text/plain');
    if (answer.status === 406) answer = await this.#payload(`${reference}/payload`, token, 'application/octet-stream');
    if (answer.status === 404) throw new GodwitError('NOT_FOUND', `secret ${reference}`);
    if (answer.status === 401 || answer.status === 403) {
      throw new GodwitError('AUTHENTICATION_FAILED', `secret ${reference}`, {
        reason:
          token === undefined
            ? 'Godwit’s service account may not read it: give it the role creator in the project, or an ACL of the secret'
            : 'your token may not read it',
      });
    }
    if (answer.status !== 200) {
      throw new GodwitError('CONNECTION_FAILED', `secret ${reference}`, { reason: `it answered ${answer.status}` });
    }
    return contentOf(answer.text);
  }

  async #payload(url: string, token: string | undefined, accept: string): Promise<Answer> {
    const peer = 'the key manager';
    if (token === undefined) return this.#keystone.asService(peer, url, { accept });
    return send(peer, url, { headers: { accept, 'x-auth-token': token } });
  }
}

function contentOf(text: string): JsonObject {
  if (text.length > LARGEST) throw invalid('the secret is too large for a connection_info');
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The parser's message quotes the text.
    throw invalid('the secret holds no JSON');
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw invalid('the secret must hold a JSON object: the connection_info');
  }
  return content as JsonObject;
}

const invalid = (reason: string) => new GodwitError('INVALID_INPUT', 'secret_ref', { reason });
