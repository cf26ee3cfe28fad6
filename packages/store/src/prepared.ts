import type pg from 'pg';

/** Times that a statement is seen before its plan is kept: what is asked once or twice would only take memory. */
const WORTH_KEEPING = 3;
/** Statements prepared at most in each session: a plan takes 10 to 50 KiB there. */
const MOST = 200;
/** Texts whose sightings are counted at most. */
const MOST_COUNTED = 1_000;
/** Begins as a query, and ends where its only statement ends. */
const ONE_QUERY = /^select\b[^;]*$/;
/** Characters of a statement at most: longer ones list values, and hardly come twice. */
const LONGEST = 8_192;

/**
 * Which statements of a pool the server keeps parsed and planned: those with parameters, and queries without; what else has
 * none may hold several statements, or begin and end transactions.
 */
export class PreparedStatements {
  readonly #counts = new Map<string, number>();
  readonly #names = new Map<string, string>();
  readonly #fits: (text: string) => boolean;
  #generation = 0;

  /** @param fits false for statements that are not worth a plan however often they come; default: all are */
  constructor(fits: (text: string) => boolean = () => true) {
    this.#fits = fits;
  }

  /** Every session that the pool opens from now on sends statements that come again by name, whoever borrows it. */
  serve(pool: pg.Pool): void {
    pool.on('connect', (client) => this.#teach(client));
  }

  /** Under which name the statement is prepared in every session of the pool; undefined: it is not. */
  nameOf(text: string): string | undefined {
    const name = this.#names.get(text);
    if (name !== undefined) return name;
    if (text.length > LONGEST || this.#names.size >= MOST || !this.#fits(text)) return undefined;
    const count = (this.#counts.get(text) ?? 0) + 1;
    if (count < WORTH_KEEPING) {
      if (this.#counts.size >= MOST_COUNTED) this.#counts.clear();
      this.#counts.set(text, count);
      return undefined;
    }
    this.#counts.delete(text);
    const made = `godwit_${this.#generation}_${this.#names.size}`;
    this.#names.set(text, made);
    return made;
  }

  #teach(client: pg.PoolClient): void {
    const { query } = client;
    let inTransaction = false;
    const send = (...args: unknown[]): unknown => {
      const [text, values, ...rest] = args;
      if (typeof text !== 'string') return Reflect.apply(query, client, args);
      if (/^(?:begin|start transaction)\b/i.test(text)) inTransaction = true;
      else if (/^(?:commit|rollback)$/i.test(text)) inTransaction = false;
      const single = Array.isArray(values) && (values.length > 0 || ONE_QUERY.test(text));
      const name = single ? this.nameOf(text) : undefined;
      if (name === undefined) return Reflect.apply(query, client, args);
      // As of now: when its answer comes, the end of its transaction may have been sent behind it.
      const within = inTransaction;
      const [callback] = rest;
      if (typeof callback === 'function') {
        const judge = (error: unknown, result: unknown): void => {
          if (error === null || error === undefined || !isStalePlan(error)) {
            Reflect.apply(callback, undefined, [error, result]);
            return;
          }
          this.#forget();
          if (within) Reflect.apply(callback, undefined, [error, result]);
          else Reflect.apply(query, client, args);
        };
        return Reflect.apply(query, client, [{ name, text, values }, judge]);
      }
      const answer: unknown = Reflect.apply(query, client, [{ name, text, values }, ...rest]);
      if (!(answer instanceof Promise)) return answer;
      return answer.catch((error: unknown) => {
        if (!isStalePlan(error)) throw error;
        this.#forget();
        // What came before it in the transaction is lost: whoever made the transaction makes it again.
        if (within) throw error;
        return Reflect.apply(query, client, args);
      });
    };
    Object.defineProperty(client, 'query', { value: send });
  }

  /** Prepares everything anew, under other names: a table has other columns than when it was prepared. */
  #forget(): void {
    this.#generation += 1;
    this.#names.clear();
  }
}

/** True when a prepared statement is of no use any more: its table has changed since. The same call works when made again. */
export function isStalePlan(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    error.code === '0A000' &&
    'routine' in error &&
    // Its message is in the language of the server.
    error.routine === 'RevalidateCachedQuery'
  );
}
