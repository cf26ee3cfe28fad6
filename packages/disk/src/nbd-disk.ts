import { GodwitError } from '@godwit/domain';
import type { Disk, Extent, Range } from './disk.ts';
import type { NbdAddress } from './disk-address.ts';
import { inParts } from './disk-parts.ts';
import { checkRange } from './disk-range.ts';
import { changedRanges, dirtyKind, ExtentCollector, extentKind, joinExtents } from './nbd-extents.ts';
import { NbdLink, type NbdOptions } from './nbd-link.ts';
import * as wire from './nbd-wire.ts';

/** Bytes zeroed by one request at most: a server without holes writes them one by one within the stall timeout. */
const ZERO_PART = 134_217_728;
/** Bytes described by one block status request at most; the protocol's field has 32 bits. */
const STATUS_PART = 4_294_705_152;
/** Parts of one call in flight. */
const PARTS_IN_FLIGHT = 8;

/**
 * Opens an export of an NBD server.
 *
 * @throws GodwitError CONNECTION_FAILED, NBD_PROTOCOL, NOT_FOUND, AUTHENTICATION_FAILED, CANCELED, UNSUPPORTED (writing
 *   asked for, the export is read-only)
 */
export async function openNbd(address: NbdAddress, options: NbdOptions = {}, signal?: AbortSignal): Promise<Disk> {
  const link = new NbdLink(address, options);
  await link.connect(signal);
  return new NbdDisk(link, address, options);
}

/** An NBD export as a {@link Disk}. What happens on lost connections and aborts: {@link NbdLink}. */
class NbdDisk implements Disk {
  readonly size: number;
  readonly maxInFlight = 64;
  readonly roundTripMs: number;
  readonly readOnly: boolean;
  readonly sparse: boolean;
  readonly #link: NbdLink;
  readonly #changedContext: string | null;
  readonly #minBlock: number;
  readonly #maxPayload: number;
  readonly #canZero: boolean;
  readonly #zeroFlags: number;
  /** End of the chain of calls that read, change and write whole blocks. */
  #partialWrites: Promise<unknown> = Promise.resolve();

  constructor(link: NbdLink, address: NbdAddress, options: NbdOptions) {
    const { size, flags, contexts, minBlock, maxPayload, roundTripMs } = link.export;
    const changed = address.changedContext;
    this.#link = link;
    this.size = size;
    this.roundTripMs = roundTripMs;
    this.readOnly = address.readOnly;
    this.sparse = contexts.has('base:allocation');
    this.#changedContext = changed !== undefined && contexts.has(changed) ? changed : null;
    this.#minBlock = minBlock;
    this.#maxPayload = maxPayload;
    this.#canZero = (flags & wire.FLAG_SEND_WRITE_ZEROES) !== 0;
    this.#zeroFlags = options.zeroing === 'allocate' ? wire.CMD_FLAG_NO_HOLE : 0;
  }

  async read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    const length = into.byteLength;
    checkRange(this.size, offset, length);
    if (this.#link.unsettled) await this.#link.settled(offset, length, signal);
    if (!this.#isAligned(offset, length)) {
      const outer = roundOut(offset, length, this.#minBlock);
      const whole = new Uint8Array(outer.length);
      await this.read(outer.offset, whole, signal);
      into.set(whole.subarray(offset - outer.offset, offset - outer.offset + length));
    } else if (length <= this.#maxPayload) {
      if (length > 0) await this.#link.issue({ command: wire.CMD_READ, offset, length, into }, signal);
    } else {
      await inParts(offset, length, this.#maxPayload, PARTS_IN_FLIGHT, (at, part) => {
        const piece = into.subarray(at - offset, at - offset + part);
        return this.#link.issue({ command: wire.CMD_READ, offset: at, length: part, into: piece }, signal);
      });
    }
  }

  async write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    const length = from.byteLength;
    checkRange(this.size, offset, length);
    this.#refuseWhenReadOnly(offset);
    if (this.#link.unsettled) await this.#link.settled(offset, length, signal);
    if (!this.#isAligned(offset, length)) {
      await this.#writePartialBlocks(offset, from, signal);
    } else if (length <= this.#maxPayload) {
      if (length > 0) await this.#link.issue({ command: wire.CMD_WRITE, offset, length, payload: from }, signal);
    } else {
      await inParts(offset, length, this.#maxPayload, PARTS_IN_FLIGHT, (at, part) => {
        const piece = from.subarray(at - offset, at - offset + part);
        return this.#link.issue({ command: wire.CMD_WRITE, offset: at, length: part, payload: piece }, signal);
      });
    }
  }

  async zero(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    checkRange(this.size, offset, length);
    this.#refuseWhenReadOnly(offset);
    if (length === 0) return;
    if (this.#link.unsettled) await this.#link.settled(offset, length, signal);
    const inner = roundIn(offset, length, this.#minBlock);
    if (inner.length <= 0) return this.#writePartialBlocks(offset, new Uint8Array(length), signal);
    const head = inner.offset - offset;
    const tail = length - head - inner.length;
    if (head > 0) await this.#writePartialBlocks(offset, new Uint8Array(head), signal);
    if (tail > 0) await this.#writePartialBlocks(offset + length - tail, new Uint8Array(tail), signal);
    if (this.#canZero) {
      const command = wire.CMD_WRITE_ZEROES;
      await inParts(inner.offset, inner.length, ZERO_PART, PARTS_IN_FLIGHT, (at, part) =>
        this.#link.issue({ command, flags: this.#zeroFlags, offset: at, length: part }, signal),
      );
      return;
    }
    const zeroes = new Uint8Array(Math.min(inner.length, this.#maxPayload, 1_048_576));
    await inParts(inner.offset, inner.length, zeroes.length, PARTS_IN_FLIGHT, (at, part) =>
      this.#link.issue(
        { command: wire.CMD_WRITE, offset: at, length: part, payload: zeroes.subarray(0, part) },
        signal,
      ),
    );
  }

  async flush(signal?: AbortSignal): Promise<void> {
    if (!this.readOnly) await this.#link.flush(signal);
  }

  async extents(offset: number, length: number, signal?: AbortSignal): Promise<Extent[]> {
    checkRange(this.size, offset, length);
    if (length === 0) return [];
    if (!this.sparse) return [{ offset, length, kind: 'data' }];
    return this.#status('base:allocation', offset, length, extentKind, signal);
  }

  async changed(offset: number, length: number, signal?: AbortSignal): Promise<Range[] | null> {
    checkRange(this.size, offset, length);
    if (this.#changedContext === null) return null;
    return changedRanges(await this.#status(this.#changedContext, offset, length, dirtyKind, signal));
  }

  async close(): Promise<void> {
    this.#link.close();
  }

  #isAligned(offset: number, length: number): boolean {
    return this.#minBlock === 1 || (offset % this.#minBlock === 0 && length % this.#minBlock === 0);
  }

  #refuseWhenReadOnly(offset: number): void {
    if (!this.readOnly) return;
    throw new GodwitError('DISK_WRITE_FAILED', this.#link.label, { offset, reason: 'it was opened read-only' });
  }

  /** What a meta context says about a range: in parts side by side, for one answer per round trip takes long. */
  async #status(
    context: string,
    offset: number,
    length: number,
    kindOf: typeof extentKind,
    signal: AbortSignal | undefined,
  ): Promise<Extent[]> {
    const parts: Extent[][] = [];
    await inParts(offset, length, STATUS_PART, PARTS_IN_FLIGHT, async (at, part) => {
      parts[Math.floor((at - offset) / STATUS_PART)] = await this.#statusOf(context, at, part, kindOf, signal);
    });
    return joinExtents(parts);
  }

  async #statusOf(
    context: string,
    offset: number,
    length: number,
    kindOf: typeof extentKind,
    signal: AbortSignal | undefined,
  ): Promise<Extent[]> {
    const outer = roundOut(offset, length, this.#minBlock);
    const end = outer.offset + outer.length;
    const collector = new ExtentCollector(offset, length, outer.offset);
    while (!collector.complete) {
      const at = collector.next;
      const ask = { command: wire.CMD_BLOCK_STATUS, offset: at, length: end - at, contextName: context };
      const descriptors = await this.#link.issue(ask, signal);
      if (descriptors === null) {
        throw new GodwitError('NBD_PROTOCOL', this.#link.label, { reason: `a block status without ${context}` });
      }
      collector.add(descriptors, kindOf);
    }
    return collector.take();
  }

  /** Reads, changes and writes whole blocks, one call at a time: two halves of a block must not overtake each other. */
  #writePartialBlocks(offset: number, from: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const turn = this.#partialWrites.then(async () => {
      const outer = roundOut(offset, from.byteLength, this.#minBlock);
      const whole = new Uint8Array(outer.length);
      await this.read(outer.offset, whole, signal);
      whole.set(from, offset - outer.offset);
      await this.write(outer.offset, whole, signal);
    });
    this.#partialWrites = turn.catch(() => undefined);
    return turn;
  }
}

function roundOut(offset: number, length: number, block: number): Range {
  const start = offset - (offset % block);
  const end = Math.ceil((offset + length) / block) * block;
  return { offset: start, length: end - start };
}

function roundIn(offset: number, length: number, block: number): Range {
  const start = Math.ceil(offset / block) * block;
  const end = offset + length - ((offset + length) % block);
  return { offset: start, length: end - start };
}
