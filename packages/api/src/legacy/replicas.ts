import type { IncomingMessage } from 'node:http';
import * as store from '@godwit/store';
import type { FastifyInstance } from 'fastify';
import { executionsToWire } from '../action-reader.ts';
import { WrittenAnswer } from '../remembered-answers.ts';
import type { Execution } from '../schemas/execution.ts';
import type { Schedule } from '../schemas/schedule.ts';
import type { Transfer } from '../schemas/transfer.ts';
import { executionToWire } from '../wire/execution.ts';
import { legacyMessage } from './names.ts';
import { legacyExecution, legacySchedule, replicaOf } from './objects.ts';

/**
 * `/replicas` is another spelling of `/transfers`: the path is rewritten before it is routed, the envelope of a body before
 * it is judged, and the answer before it is written. Nothing between knows of it.
 */

/** Requests that arrived under the older name. */
const spelledOld = new WeakSet<IncomingMessage>();

/** A project id may stand before the collection; these are collections themselves. */
const PATH =
  /^(\/v1(?:\/(?!endpoints\/|transfers\/|deployments\/|regions\/|services\/|minion_pools\/|migrations\/|providers\/)[^/?]+)?)\/replicas(\/detail)?(?=[/?]|$)/;

/** The URL under which a request is routed; remembers it when it came by the older name. */
export function routedUrl(request: IncomingMessage, url: string): string {
  const match = PATH.exec(url);
  if (match === null) return url;
  spelledOld.add(request);
  const rest = url.slice(match[0].length);
  const list = rest === '' || rest.startsWith('?');
  const query = list ? `?scenario=replica${rest === '' ? '' : `&${rest.slice(1)}`}` : rest;
  return `${match[1]}/transfers${match[2] ?? ''}${query}`;
}

type Envelope = Record<string, unknown>;

export function speakOldReplicas(app: FastifyInstance, db: store.Db): void {
  app.addHook('preValidation', async (request) => {
    if (!spelledOld.has(request.raw)) return;
    const body = request.body as Envelope | null | undefined;
    if (typeof body !== 'object' || body === null || !('replica' in body)) return;
    const { replica, ...rest } = body;
    const creates = request.method === 'POST' && typeof replica === 'object' && replica !== null;
    request.body = { ...rest, transfer: creates ? { ...replica, scenario: 'replica' } : replica };
  });
  app.addHook('preSerialization', async (request, _reply, payload) => {
    if (typeof payload !== 'object' || payload === null) return payload;
    if (spelledOld.has(request.raw)) {
      return translated(db, (payload instanceof WrittenAnswer ? payload.read() : payload) as Envelope);
    }
    // Migrations have routes of their own; what refuses them speaks of transfers.
    return /\/migrations(?:\/|$)/.test(request.routeOptions.url ?? '')
      ? refusalInOldWords(payload as Envelope)
      : payload;
  });
}

async function translated(db: store.Db, payload: Envelope): Promise<Envelope> {
  const { transfer, transfers, execution, executions, schedule, schedules, ...rest } = payload;
  if (transfer !== undefined) {
    const row = transfer as Transfer;
    const runs = await executionsToWire(db, await store.listExecutions(db, row.id));
    return { ...rest, replica: replicaOf(row, runs) };
  }
  if (transfers !== undefined) {
    const rows = transfers as Transfer[];
    const runs = await store.executionsOfActions(
      db,
      rows.map((row) => row.id),
    );
    // Lists show that there are executions, not what they did.
    const wire = (id: string) => (runs.get(id) ?? []).map((run) => executionToWire(run, []));
    return { ...rest, replicas: rows.map((row) => replicaOf(row, wire(row.id))) };
  }
  if (execution !== undefined) return { ...rest, execution: legacyExecution(execution as Execution) };
  if (executions !== undefined) return { ...rest, executions: (executions as Execution[]).map(legacyExecution) };
  if (schedules !== undefined) return { ...rest, schedules: (schedules as Schedule[]).map(legacySchedule) };
  if (schedule !== undefined) return { ...rest, schedule: legacySchedule(schedule as Schedule) };
  return refusalInOldWords(payload);
}

function refusalInOldWords(payload: Envelope): Envelope {
  const { error } = payload;
  if (typeof error !== 'object' || error === null || !('message' in error)) return payload;
  return { ...payload, error: { ...error, message: legacyMessage(String(error.message)) } };
}
