import type { Static, TSchema } from 'typebox';
import { readAnswer } from './answer.ts';
import type { ServiceName } from './identity.ts';
import { allPages } from './pages.ts';
import type { ServiceRequest, Session } from './session.ts';

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
   * All items of a list: see {@link allPages}.
   *
   * @param pick the items in an answer
   */
  async all<T extends TSchema, Item extends { id: string }>(
    schema: T,
    request: Request & { pageSize: number },
    pick: (answer: Static<T>) => Item[],
  ): Promise<Item[]> {
    const { pageSize, ...rest } = request;
    return allPages(rest.object, async (marker) => {
      const query = { ...rest.query, limit: pageSize, marker };
      return pick(await this.read(schema, { ...rest, query }));
    });
  }
}
