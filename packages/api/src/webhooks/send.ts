import http from 'node:http';
import https from 'node:https';
import { reasonOf } from '@godwit/domain';
import { lookupReceiver, urlProblem } from './target.ts';

/** What became of one request. */
export interface Answer {
  /** HTTP status; null when there was no answer. */
  status: number | null;
  /** Null: the receiver has it. */
  error: string | null;
}

/**
 * Sends one body and hears the status; what else is answered is not read. Redirects are not followed: a receiver must not
 * send us elsewhere. Never rejects, but for `signal`.
 *
 * @param timeoutMs until the status has come, all in all
 * @param signal breaks it off
 */
export async function send(
  url: string,
  headers: Record<string, string>,
  body: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Answer> {
  const problem = urlProblem(url);
  if (problem !== undefined) return { status: null, error: `the URL is ${problem}` };
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    return judged(await statusOf(url, headers, body, AbortSignal.any([limit, signal])));
  } catch (error) {
    if (signal.aborted) throw error;
    if (limit.aborted) return { status: null, error: `no answer within ${timeoutMs / 1000} s` };
    return { status: null, error: reasonOf(error) };
  }
}

function judged(status: number): Answer {
  if (status >= 200 && status < 300) return { status, error: null };
  if (status >= 300 && status < 400) return { status, error: `answered ${status}: redirects are not followed` };
  return { status, error: `answered ${status}` };
}

function statusOf(url: string, headers: Record<string, string>, body: string, signal: AbortSignal): Promise<number> {
  const { request } = url.startsWith('https:') ? https : http;
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', headers, lookup: lookupReceiver, agent: false, signal } as const;
    const sent = request(url, options, (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
