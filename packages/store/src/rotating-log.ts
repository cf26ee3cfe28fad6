import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

/** A log file that never grows beyond a bound: when full it becomes `FILE.1`, the former `FILE.1` becomes `FILE.2`, ... */
export class RotatingLog {
  readonly #file: string;
  readonly #maxBytes: number;
  readonly #keep: number;
  #handle: number;
  #size: number;

  /**
   * @param maxBytes bytes at which it rotates. Default 8 MiB
   * @param keep old files kept, 1 or more. Default 3
   */
  constructor(file: string, maxBytes = 8 * 1024 * 1024, keep = 3) {
    this.#file = file;
    this.#maxBytes = maxBytes;
    this.#keep = keep;
    this.#handle = openSync(file, 'a', 0o600);
    this.#size = fstatSync(this.#handle).size;
  }

  /** Appends. A full disk must not take down what is logged about: a failed write is dropped. */
  write(text: string | Uint8Array): void {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    try {
      if (this.#size > 0 && this.#size + bytes.length > this.#maxBytes) this.#rotate();
      writeSync(this.#handle, bytes);
      this.#size += bytes.length;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
    }
  }

  close(): void {
    closeSync(this.#handle);
  }

  #rotate(): void {
    for (let n = this.#keep - 1; n >= 0; n--) {
      const from = n === 0 ? this.#file : `${this.#file}.${n}`;
      try {
        renameSync(from, `${this.#file}.${n + 1}`);
      } catch (error) {
        // The chain is shorter in the beginning.
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      }
    }
    closeSync(this.#handle);
    this.#handle = openSync(this.#file, 'a', 0o600);
    this.#size = fstatSync(this.#handle).size;
  }
}
