import type { Static, TSchema } from 'typebox';
import { readAnswer } from './answer.ts';
import type { ServiceName } from './identity.ts';
import type { ServiceRequest, Session } from './session.ts';

/** Pages of a list at most: a cloud whose links lead in a circle must not hold a worker for ever. */
const MAX_PAGES = 10_000;

export type Query = Record<string, string | number | boolean | undefined>;
type Request = Omit<ServiceRequest, 'signal'>;

/** One service of a cloud, bound to the signal of a call. */
export class Service {
  readonly #session: Session;
  readonly #service: ServiceName;
  readonly signal: AbortSignal;
  /** For errors: `endpoint lab`. */
  readonly label: string;

  constructor(session: Session, service: ServiceName, signal: AbortSignal, label: string) {
    this.#session = session;
    this.#service = service;
    this.signal = signal;
    this.label = label;
  }

  /** `volume boot of endpoint lab` */
  name(what: string): string {
    return `${what} of ${this.label}`;
  }

  async read<T extends TSchema>(schema: T, request: Request): Promise<Static<T>> {
    const answer = await this.#session.send(this.#service, { ...request, signal: this.signal });
    return readAnswer(schema, answer.text, request.object);
  }

  async send(request: Request): Promise<void> {
    await this.#session.send(this.#service, { ...request, signal: this.signal });
  }

  stream(request: Request & { method: 'GET' }) {
    return this.#session.stream(this.#service, { ...request, signal: this.signal });
  }

  /**
   * All items of a list, page by page: each further one from the last item's id.
   *
   * @param pick the items in an answer
   */
  async all<T extends TSchema, Item extends { id: string }>(
    schema: T,
    request: Request & { pageSize: number },
    pick: (answer: Static<T>) => Item[],
  ): Promise<Item[]> {
    const { pageSize, ...rest } = request;
    const found = new Map<string, Item>();
    let marker: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const query = { ...rest.query, limit: pageSize, marker };
      const items = pick(await this.read(schema, { ...rest, query }));
      const before = found.size;
      for (const item of items) found.set(item.id, item);
      marker = items.at(-1)?.id;
      // A service may give fewer than asked for on every page: only an empty or a repeated one is the last.
      if (marker === undefined || found.size === before) break;
    }
    return [...found.values()];
  }
}
