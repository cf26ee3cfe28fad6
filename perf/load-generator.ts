// Asks an HTTP server as fast as it answers, or at a steady rate; a program of its own, so that it is not measured with
// the one that measures. Reads a LoadJob from its standard input, prints a LoadResult.
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';

export interface LoadRequest {
  /** Under which its figures stand. */
  label: string;
  path: string;
  method?: 'GET' | 'POST';
  body?: unknown;
}

export interface LoadJob {
  /** `http://HOST:PORT`. */
  origin: string;
  token: string;
  /** Asked in turn; with `once` each of them one time. */
  requests: LoadRequest[];
  /** Requests under way at most. */
  clients: number;
  /** How long; unless `once`. */
  seconds: number;
  /** Ends with the list. */
  once?: boolean;
  /** Seconds of asking in the same way beforehand that count for nothing: this program is slow while it is young. Default 0. */
  warmUp?: number;
  /** Requests per second; absent: as fast as answers come. */
  rate?: number;
}

export interface LoadResult {
  seconds: number;
  /** Milliseconds by label; at a steady rate from the moment when the request was due, so that a stall counts in full. */
  latencies: Record<string, number[]>;
  /** Answers that were not 200, and how often. */
  refused: Record<string, number>;
}

const job = JSON.parse(await text(process.stdin)) as LoadJob;
const pool = new Pool(job.origin, { connections: job.clients, pipelining: 1 });
const headers = { 'x-auth-token': job.token, 'content-type': 'application/json' };
const latencies: Record<string, number[]> = {};
const refused: Record<string, number> = {};
let begun = performance.now();
let end = begun;
let next = 0;

async function ask(): Promise<void> {
  for (;;) {
    const nth = next;
    if (job.once === true && nth >= job.requests.length) return;
    next += 1;
    const due = job.rate === undefined ? performance.now() : begun + (nth * 1_000) / job.rate;
    if (job.once !== true && due >= end) return;
    const early = due - performance.now();
    if (early > 0) await sleep(early);
    const request = job.requests[nth % job.requests.length];
    if (request === undefined) return;
    // A timer fires up to a millisecond late: what the request itself waited is all that counts.
    const from = early > 0 ? performance.now() : due;
    const answer = await pool.request({
      path: request.path,
      method: request.method ?? 'GET',
      headers,
      ...(request.body !== undefined && { body: JSON.stringify(request.body) }),
    });
    const body = await answer.body.text();
    const figures = latencies[request.label] ?? [];
    figures.push(performance.now() - from);
    latencies[request.label] = figures;
    if (answer.statusCode !== 200) {
      const why = `${request.label}: ${answer.statusCode} ${body.slice(0, 200)}`;
      refused[why] = (refused[why] ?? 0) + 1;
    }
  }
}

/** Asks for so many seconds, from the first request on. */
async function phase(seconds: number): Promise<void> {
  begun = performance.now();
  end = begun + seconds * 1_000;
  next = 0;
  await Promise.all(Array.from({ length: job.clients }, ask));
}

if (job.warmUp !== undefined) {
  await phase(job.warmUp);
  for (const label of Object.keys(latencies)) delete latencies[label];
}
await phase(job.seconds);
const result: LoadResult = { seconds: (performance.now() - begun) / 1_000, latencies, refused };
process.stdout.write(JSON.stringify(result), () => process.exit(0));
