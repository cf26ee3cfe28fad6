import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Installation } from '../../testbed/spine/installation.ts';
import { writeHistory } from '../control-plane/history.ts';
import { latencyCells, load, serverMedian, serverTimes } from '../control-plane/load.ts';
import type { LoadRequest } from '../load-generator.ts';
import { peakOf } from '../measure.ts';
import { atLeast, atMost, type Scenario } from '../scenario.ts';
import { percentile } from '../statistics.ts';

const RATE = 2_000;
const CLIENTS = 8;
/** Objects of each kind that are asked for again and again; the others are asked for once. */
const AGAIN = 200;

/** Reads of the API beside a database that has been used for a while. */
export const apiReads: Scenario = {
  id: 'C1',
  title: 'Reads of the API',
  async run(bench) {
    const transfers = bench.quick ? 500 : 5_000;
    const seconds = bench.quick ? 3 : 10;
    const installation = await Installation.start();
    try {
      const path = join(bench.folder, 'c1');
      mkdirSync(path);
      const origin = await installation.endpoint('from', 'image', { path });
      const destination = await installation.endpoint('to', 'image', { path: bench.folder });
      const all = await writeHistory(installation, transfers, { origin, destination });
      const history = { transfers: all.transfers.slice(0, AGAIN), executions: all.executions.slice(0, AGAIN) };
      const kinds: Record<string, LoadRequest[]> = {
        'show a transfer': of(
          'show',
          history.transfers.map((id) => `/transfers/${id}`),
        ),
        'show an execution, its 10 tasks, their events and progress': of('execution', history.executions),
        'executions of a transfer (2, with 20 tasks)': of(
          'executions',
          history.transfers.map((id) => `/transfers/${id}/executions`),
        ),
        'first page of transfers (25)': of('page', ['/transfers?limit=25']),
        'a page further down (25 after a marker)': of(
          'marker',
          history.transfers.map((id) => `/transfers?limit=25&marker=${id}`),
        ),
        'page sorted by last change (25)': of('sorted', ['/transfers?limit=25&sort_key=updated_at&sort_dir=desc']),
        'endpoints (2)': of('endpoints', ['/endpoints']),
      };
      const firsts = all.transfers
        .slice(AGAIN)
        .flatMap((id, nth) => [
          ...of('show', [`/transfers/${id}`]),
          ...of('execution', all.executions.slice(AGAIN + nth, AGAIN + nth + 1)),
          ...of('executions', [`/transfers/${id}/executions`]),
          ...of('marker', [`/transfers?limit=25&marker=${id}`]),
        ]);
      const rows: string[][] = [];
      const medians: number[] = [];
      for (const [name, requests] of Object.entries(kinds)) {
        await load(installation, { requests, clients: 2, seconds: 1 });
        const before = await serverTimes(installation, /route="\/v1\/(transfers|endpoints)/);
        const alone = await load(installation, { requests, clients: 1, seconds: seconds / 2 });
        const inServer = serverMedian(before, await serverTimes(installation, /route="\/v1\/(transfers|endpoints)/));
        const flood = await load(installation, { requests, clients: CLIENTS, seconds });
        medians.push(inServer);
        rows.push([
          name,
          inServer.toFixed(2),
          ...latencyCells(alone.all),
          (flood.all.length / flood.seconds).toFixed(0),
          ...latencyCells(flood.all),
        ]);
        bench.say(`  ${rows.at(-1)?.join('  ')}`);
      }
      const first = await load(installation, { requests: firsts, clients: CLIENTS, seconds, once: true });
      const mixed = mix(Object.values(kinds));
      const flood = await load(installation, { requests: mixed, clients: CLIENTS, seconds });
      const steady = await load(installation, {
        requests: mixed,
        clients: CLIENTS,
        seconds,
        rate: RATE,
        warmUp: 3,
      });
      const per = (result: { all: number[]; seconds: number }): number => result.all.length / result.seconds;
      rows.push([
        '**those that name a transfer, each one for the first time**',
        '',
        '',
        '',
        '',
        per(first).toFixed(0),
        ...latencyCells(first.all),
      ]);
      rows.push(['**all of these in turn**', '', '', '', '', per(flood).toFixed(0), ...latencyCells(flood.all)]);
      rows.push([
        `**the same at ${RATE} a second**`,
        '',
        '',
        '',
        '',
        per(steady).toFixed(0),
        ...latencyCells(steady.all),
      ]);
      const [api = 0] = installation.pids('api');
      return {
        id: apiReads.id,
        title: apiReads.title,
        heats: [],
        tables: [
          {
            title: 'One client, then eight',
            setting: `${transfers} transfers, ${transfers * 20} tasks in the database; embedded Postgres, API and load generator on the same machine; times in ms`,
            head: [
              'request',
              'p50 in the server',
              'one: p50',
              'p99',
              'slowest',
              'eight: requests/s',
              'p50',
              'p99',
              'slowest',
            ],
            rows,
          },
        ],
        verdicts: [
          atMost('p50 in the server, median of the kinds, < 1 ms', 1, percentile(medians, 0.5), ' ms'),
          atLeast('all kinds in turn >= 2,000 a second', RATE, per(flood), '/s'),
          atMost(`p99 at ${RATE} a second < 20 ms`, 20, percentile(steady.all, 0.99), ' ms'),
          atMost('slowest list page p50 in the server < 5 ms', 5, Math.max(...medians.slice(3, 6)), ' ms'),
        ],
        notes: [
          'Requests at a steady rate count after 3 s of them: before, it is the load generator that is slow.',
          `All but the row of first times ask for the same ${AGAIN} objects of a kind again: what has not changed since is then answered from memory, after the database was asked whether it has.`,
          `"p50 in the server" is interpolated from \`godwit_http_request_seconds\` while one client asks; the others are seen by the client (undici, a process of its own).`,
          `Peak memory of the API process meanwhile: ${(peakOf(api) / 1_048_576).toFixed(0)} MiB.`,
        ],
      };
    } finally {
      await installation.stop();
    }
  },
};

const of = (label: string, paths: readonly string[]): LoadRequest[] => paths.map((path) => ({ label, path }));

/** One of each kind in turn. */
function mix(kinds: readonly LoadRequest[][]): LoadRequest[] {
  return Array.from({ length: 200 }, (_, nth) => kinds.flatMap((kind) => kind[nth % kind.length] ?? [])).flat();
}
