import { GodwitError } from '@godwit/domain';
import type { ProjectCaller } from './context.ts';

/** Readers of the event stream at the same time, per process. */
export interface EventReaderLimits {
  all: number;
  /** Below `all`, so that no project can shut out the others. */
  project: number;
  /** Below `project`, so that nobody can shut out its colleagues. */
  user: number;
}

export const EVENT_READERS: EventReaderLimits = { all: 500, project: 300, user: 200 };

/** Who reads the event stream at present. */
export class EventReaders {
  readonly #limits: EventReaderLimits;
  readonly #readers = new Set<Pick<ProjectCaller, 'projectId' | 'userId'>>();

  constructor(limits: Partial<EventReaderLimits> = {}) {
    this.#limits = { ...EVENT_READERS, ...limits };
  }

  /**
   * Takes a place at once, not when the stream has begun: of many who come at the same moment none is too many. Returns
   * the way out.
   *
   * @throws GodwitError BUSY
   */
  enter({ projectId, userId }: ProjectCaller): () => void {
    const { all, project, user } = this.#limits;
    const readers = [...this.#readers];
    if (readers.length >= all) throw busy(`too many readers (${all})`);
    if (readers.filter((one) => one.projectId === projectId).length >= project) {
      throw busy(`too many readers of this project (${project})`);
    }
    if (readers.filter((one) => one.userId === userId).length >= user) {
      throw busy(`too many readers of this user (${user})`);
    }
    const reader = { projectId, userId };
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }
}

function busy(reason: string): GodwitError {
  return new GodwitError('BUSY', 'the event stream', { reason });
}
