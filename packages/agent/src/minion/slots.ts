/** Node has it; the types that we compile with are those of a world without it. */
declare const WebAssembly: { Memory: new (pages: { initial: number; maximum: number }) => { buffer: ArrayBuffer } };

/** Buffers of one size for direct I/O, below a hard bound. Whoever finds none waits for its turn. */
export class Slots {
  readonly #size: number;
  readonly #free: Buffer[] = [];
  readonly #waiting: ((slot: Buffer) => void)[] = [];

  /**
   * @param size bytes of each; a multiple of the page size
   * @param count how many
   */
  constructor(size: number, count: number) {
    this.#size = size;
    // The memory of WebAssembly begins on a page boundary, which direct I/O asks for and Buffers do not promise. Pages that
    // were never used take no room.
    const pages = Math.ceil((size * count) / 65_536);
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages });
    for (let n = 0; n < count; n++) this.#free.push(Buffer.from(buffer, n * size, size));
  }

  /** Bytes of a slot. */
  get size(): number {
    return this.#size;
  }

  take(): Promise<Buffer> {
    const slot = this.#free.pop();
    if (slot !== undefined) return Promise.resolve(slot);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  give(slot: Buffer): void {
    const next = this.#waiting.shift();
    if (next) next(slot);
    else this.#free.push(slot);
  }
}

/** So many may go in; the others wait. */
export class Gate {
  #room: number;
  readonly #waiting: (() => void)[] = [];

  constructor(room: number) {
    this.#room = room;
  }

  async enter(): Promise<void> {
    if (this.#room > 0) {
      this.#room--;
      return;
    }
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#room++;
  }
}
