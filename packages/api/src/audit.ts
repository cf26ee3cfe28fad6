import { appendAudit, type Db, type NewAuditRecord } from '@godwit/store';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify';
import { labelOf } from './authorization.ts';

/** Milliseconds that records gather before they are written together. */
const GATHER = 50;
/** Records that wait at most; a database that is away must not fill the memory. */
const MOST_WAITING = 10_000;
/** Characters of a path that are kept. */
const LONGEST = 500;

const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Who did what, when, from where, and how it ended: every request that is not a read, every sign-in, and every read that
 * was refused for want of rights. Bodies are never recorded: they may hold secrets.
 */
export function auditRequests(app: FastifyInstance, db: Db): void {
  const trail = new AuditTrail(db, app.log);
  app.addHook('onResponse', async (request, reply) => {
    const refused = reply.statusCode === 401 || reply.statusCode === 403;
    if (READS.has(request.method) && !(refused && isOurs(request))) return;
    trail.add(recordOf(request, reply.statusCode));
  });
  app.addHook('onClose', () => trail.close());
}

const isOurs = (request: FastifyRequest) => /^\/(v1|logs|identity)\b/.test(request.url);

function recordOf(request: FastifyRequest, status: number): NewAuditRecord {
  const { caller } = request;
  const { schema } = request.routeOptions;
  const operation = (schema as { operationId?: string } | undefined)?.operationId;
  return {
    request_id: request.id,
    user_id: caller?.userId ?? null,
    user_name: caller?.userName ?? null,
    project_id: caller?.projectId ?? null,
    address: request.ip,
    action: labelOf(request) ?? operation ?? 'unrouted',
    // Zero bytes and half characters cannot be kept; the query may hold anything and is left out.
    object: `${request.method} ${request.url.split('?')[0]!.replaceAll('%00', '').toWellFormed()}`.slice(0, LONGEST),
    status,
  };
}

/** Writes records in the order in which requests ended, a few at a time; after a failure the same ones again. */
class AuditTrail {
  readonly #db: Db;
  readonly #log: FastifyBaseLogger;
  #waiting: NewAuditRecord[] = [];
  #writing: Promise<void> | undefined;
  #lost = 0;

  constructor(db: Db, log: FastifyBaseLogger) {
    this.#db = db;
    this.#log = log;
  }

  add(record: NewAuditRecord): void {
    if (this.#waiting.length >= MOST_WAITING) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(record);
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, GATHER));
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, 500);
      try {
        await appendAudit(this.#db, batch);
        this.#waiting.splice(0, batch.length);
      } catch (error) {
        this.#log.warn({ err: error, waiting: this.#waiting.length, lost: this.#lost }, 'the audit cannot be written');
        break;
      }
    }
    this.#writing = undefined;
  }

  /** Writes what waits, once. */
  async close(): Promise<void> {
    await this.#writing;
    if (this.#waiting.length > 0) await this.#write();
  }
}
