import { GodwitError } from '@godwit/domain';

/** Milliseconds that a request may take. */
const PATIENCE = 10_000;
/** Errors of a connection that was there and broke. */
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

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
      // The error of `fetch` itself says only that it failed.
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
      if (again && BROKEN.has(code)) continue;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new GodwitError('CONNECTION_FAILED', peer, { reason });
    }
  }
}
