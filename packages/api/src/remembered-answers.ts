/**
 * Answers kept as they were written, each with the version of the rows that it was made of (the store's row versions). The
 * database is asked for the version at every request, so an answer is never older than one made anew; what is saved is reading
 * the rows, making objects of them and writing those.
 */

/** Bytes of answers kept at most, keys and versions included. */
const MOST_BYTES = 16 * 1_048_576;
/** Bytes of the largest answer that is kept. */
const LARGEST = 512 * 1_024;
/**
 * Milliseconds that an answer is kept. Only against a database that is put back to an earlier state under a running API, and
 * then writes the same transaction numbers again.
 */
const KEPT = 60_000;
/** Keys remembered as asked for once, at most: what nobody asks for again is neither kept nor asked for its version. */
const MOST_SIGHTINGS = 10_000;

/** An answer that is written already. */
export class WrittenAnswer {
  /** JSON. */
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** What it says, for those who say it otherwise. */
  read(): unknown {
    return JSON.parse(this.bytes.toString());
  }
}

/** How answers are written; its type is that of Fastify, whose answers are texts or bytes. */
export const writeAnswer = (answer: unknown): string =>
  answer instanceof WrittenAnswer ? (answer.bytes as unknown as string) : JSON.stringify(answer);

interface Kept {
  version: string;
  answer: WrittenAnswer;
  until: number;
  size: number;
}

export class RememberedAnswers {
  readonly #clock: () => Date;
  /** The one used longest ago first. */
  readonly #kept = new Map<string, Kept>();
  #seen = new Set<string>();
  #bytes = 0;

  constructor(clock: () => Date) {
    this.#clock = clock;
  }

  /** Bytes of what is kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The answer of `make`, or what it was as long as the version is the same. Typed as what `make` gives, because that is what
   * leaves the server.
   *
   * @param key of everything that the answer depends on besides the rows: which answer, whose rows, which of them
   * @param version undefined: the answer is made of no rows, and not kept
   */
  async answer<T extends object>(
    key: string,
    version: () => Promise<string | undefined>,
    make: () => Promise<T>,
  ): Promise<T> {
    if (!this.#kept.has(key) && !this.#seen.delete(key)) {
      if (this.#seen.size >= MOST_SIGHTINGS) this.#seen = new Set();
      this.#seen.add(key);
      return make();
    }
    // Before the rows are read: were it asked for afterwards, a change between would be taken for known.
    const now = await version();
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      this.#drop(key, kept);
      if (kept.version === now && this.#clock().getTime() < kept.until) {
        this.#keep(key, kept);
        return kept.answer as unknown as T;
      }
    }
    const made = await make();
    if (now === undefined) return made;
    const answer = new WrittenAnswer(Buffer.from(JSON.stringify(made)));
    this.#remember(key, now, answer);
    return answer as unknown as T;
  }

  #remember(key: string, version: string, answer: WrittenAnswer): void {
    const { bytes } = answer;
    if (bytes.length > LARGEST) return;
    const size = bytes.length + version.length + key.length;
    const before = this.#kept.get(key);
    if (before !== undefined) this.#drop(key, before);
    const now = this.#clock().getTime();
    this.#keep(key, { version, answer, until: now + KEPT, size });
    // What nobody has used for that long has run out, and lies in front.
    for (const [oldest, kept] of this.#kept) {
      if (this.#bytes <= MOST_BYTES && now < kept.until) return;
      this.#drop(oldest, kept);
    }
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.set(key, kept);
    this.#bytes += kept.size;
  }

  #drop(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#bytes -= kept.size;
  }
}
