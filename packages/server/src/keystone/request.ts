import { GodwitError, reasonOf } from '@godwit/domain';

/** Milliseconds that a request may take. */
const PATIENCE = 10_000;
/** Errors of a connection that was there and broke, before the answer or in the middle of it. */
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH']);

/** An answer, read to its end. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

/**
 * A request that may be repeated: one whose connection broke is, once (a server that restarts, or lets go of an idle
 * connection in that moment). Redirects are not followed: they could lead a token away.
 *
 * @param peer whom it is sent to, for the error: `the key manager`
 * @throws GodwitError CONNECTION_FAILED
 */
export async function send(peer: string, url: string, init: RequestInit): Promise<Answer> {
  for (let again = true; ; again = false) {
    try {
      const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE), redirect: 'error' });
      return { status: answer.status, headers: answer.headers, text: await answer.text() };
    } catch (error) {
      if (again && BROKEN.has(codeOf(error))) continue;
      throw new GodwitError('CONNECTION_FAILED', peer, { reason: reasonOf(error) }, { cause: error });
    }
  }
}

/** `fetch` names the cause of its failures by another error. */
function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : '';
}
