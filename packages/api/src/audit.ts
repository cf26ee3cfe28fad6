import { randomUUID } from 'node:crypto';
import { errorCatalogue, GodwitError } from '@godwit/domain';
import { appendAudit, type Db, type NewAuditRecord } from '@godwit/store';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify';
import { labelOf } from './authorization.ts';

/** Milliseconds that records gather before they are written together. */
const GATHER = 50;
/** Milliseconds until what could not be written is tried again. */
const AGAIN = 1_000;
/** Records that wait at most: a database that is away must not fill the memory. */
const MOST_WAITING = 10_000;
/** Characters of a path that are kept. */
const LONGEST = 500;

const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Who did what, when, from where, and how it ended: every request that is not a read, every sign-in, and every read that
 * was refused for want of rights. Bodies are never recorded: they may hold secrets.
 *
 * When as many records wait as may (the database has been away for long), requests that would need one are refused before
 * they do anything, so that nothing takes effect unrecorded. How many were refused so is recorded afterwards.
 *
 * @param most records that wait at most
 */
export function auditRequests(app: FastifyInstance, db: Db, most = MOST_WAITING): AuditTrail {
  const trail = new AuditTrail(db, app.log, most);
  app.addHook('onRequest', async (request) => {
    if (READS.has(request.method) || !trail.full) return;
    throw new GodwitError('AUDIT_FULL', `${request.method} ${pathOf(request)}`, { waiting: trail.waiting });
  });
  app.addHook('onResponse', async (request, reply) => {
    const refused = reply.statusCode === 401 || reply.statusCode === 403;
    if (READS.has(request.method) && !(refused && isOurs(request))) return;
    trail.add(recordOf(request, reply.statusCode));
  });
  app.addHook('onClose', () => trail.close());
  return trail;
}

const isOurs = (request: FastifyRequest) => /^\/(v1|logs|identity)\b/.test(request.url);

/** Zero bytes and half characters cannot be kept; the query may hold anything and is left out. */
const pathOf = (request: FastifyRequest) => request.url.split('?')[0]!.replaceAll('%00', '').toWellFormed();

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
    object: `${request.method} ${pathOf(request)}`.slice(0, LONGEST),
    status,
  };
}

/** Says in the chain itself what it does not hold. */
function gapRecord(refused: number): NewAuditRecord {
  return {
    request_id: `req-${randomUUID()}`,
    user_id: null,
    user_name: null,
    project_id: null,
    address: '',
    action: 'audit:gap',
    object: `${refused} requests were refused and not recorded one by one: the database was away and too many records waited`,
    status: 503,
  };
}

/** Writes records in the order in which requests ended, a few at a time; after a failure the same ones again. */
export class AuditTrail {
  readonly #db: Db;
  readonly #log: FastifyBaseLogger;
  readonly #most: number;
  #waiting: NewAuditRecord[] = [];
  #writing: Promise<void> | undefined;
  #again: NodeJS.Timeout | undefined;
  /** Requests that ended while no record could be kept. */
  #unrecorded = 0;

  constructor(db: Db, log: FastifyBaseLogger, most: number) {
    this.#db = db;
    this.#log = log;
    this.#most = most;
  }

  /** Records that are not written yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Nothing that needs a record may be begun. */
  get full(): boolean {
    return this.#waiting.length >= this.#most;
  }

  add(record: NewAuditRecord): void {
    // Requests that were under way when it became full have their record; those refused since are counted.
    if (this.full && record.status === errorCatalogue.AUDIT_FULL.status) this.#unrecorded += 1;
    else if (this.#waiting.length >= this.#most * 2) this.#unrecorded += 1;
    else this.#waiting.push(record);
    this.#begin();
  }

  #begin(): void {
    if (this.#again === undefined) this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, GATHER));
    try {
      while (this.#waiting.length > 0 || this.#unrecorded > 0) {
        const batch = this.#waiting.slice(0, 500);
        const gap = batch.length < 500 ? this.#unrecorded : 0;
        await appendAudit(this.#db, gap > 0 ? [...batch, gapRecord(gap)] : batch);
        this.#waiting.splice(0, batch.length);
        this.#unrecorded -= gap;
      }
    } catch (error) {
      this.#log.warn({ err: error, waiting: this.waiting }, 'the audit cannot be written');
      this.#again = setTimeout(() => {
        this.#again = undefined;
        this.#begin();
      }, AGAIN);
      this.#again.unref();
    }
    this.#writing = undefined;
  }

  /** Writes what waits, once. */
  async close(): Promise<void> {
    clearTimeout(this.#again);
    await this.#writing;
    clearTimeout(this.#again);
    if (this.#waiting.length > 0 || this.#unrecorded > 0) await this.#write();
    clearTimeout(this.#again);
  }
}
