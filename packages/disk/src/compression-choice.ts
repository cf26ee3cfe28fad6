// Sent to minions: imports nothing.

/** Bytes and time, ms, after which a way is judged; both are needed. */
const SAMPLE_BYTES = 2_097_152;
const SAMPLE_MS = 50;
/** Samples of the better way before the other one is tried again: what is sent and the link may have changed. */
const REST = 31;
/** The present way keeps its place unless the other one wins by this much. */
const WORTHWHILE = 1.05;

/**
 * Whether to compress what is sent: by trying. Pure: told how long each piece took from being handed over to having left,
 * asked for the next. On a link faster than the compressor raw wins, on a slow one compressed; bytes that do not shrink
 * make compressed the slower. The connections of one link share a choice: what one of them learns, all know.
 */
export class CompressionChoice {
  #packs = true;
  #trial = true;
  #rest = 0;
  #bytes = 0;
  #ms = 0;
  #kept = 0;

  /** True: compress the next piece. */
  get packs(): boolean {
    return this.#packs;
  }

  /** A piece of `bytes` (before compression) left in `ms`, `packed` or raw. */
  sent(packed: boolean, bytes: number, ms: number): void {
    // Begun by another connection before the last change.
    if (packed !== this.#packs) return;
    this.#bytes += bytes;
    this.#ms += ms;
    if (this.#bytes < SAMPLE_BYTES || this.#ms < SAMPLE_MS) return;
    const rate = this.#bytes / this.#ms;
    this.#bytes = 0;
    this.#ms = 0;
    if (this.#trial) {
      this.#trial = false;
      this.#rest = REST;
      if (this.#kept === 0) {
        // The very first sample has nothing to be compared with: the other way has its turn.
        this.#trial = true;
        this.#packs = !this.#packs;
      } else if (rate < this.#kept * WORTHWHILE) {
        this.#packs = !this.#packs;
        return;
      }
      this.#kept = rate;
      return;
    }
    this.#kept = rate;
    this.#rest--;
    if (this.#rest > 0) return;
    this.#trial = true;
    this.#packs = !this.#packs;
  }
}
