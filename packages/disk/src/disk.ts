/** What an extent of a disk holds. `zero` reads as zeroes; `hole` is zero and takes no space. */
export type ExtentKind = 'data' | 'zero' | 'hole';

/** A run of bytes of one kind. Extents of one answer are ordered, adjoin each other and cover the asked range exactly. */
export interface Extent {
  /** Bytes from the start of the disk. */
  offset: number;
  /** Bytes, > 0. */
  length: number;
  kind: ExtentKind;
}

/** A run of bytes. Ranges of one answer are ordered and never overlap or adjoin. */
export interface Range {
  offset: number;
  length: number;
}

/** Bytes of a disk covered by one leaf: the unit of hashing, of change and of proof. */
export const LEAF_SIZE = 65_536;
/** Bytes of one read or write request of the copy engine: eight leaves; 256 KiB to 1 MiB measured equal. */
export const CHUNK_SIZE = 524_288;

/** See {@link Disk.hashLeaves}. Bytes. */
export type HashLeaves = (offset: number, length: number, signal?: AbortSignal) => Promise<Uint8Array>;

/**
 * The narrow waist of the data plane: bytes by range. Files, NBD connections and agent connections are Disks; throttle,
 * progress, fault, trace and limits are wrappers that take a Disk and are one.
 *
 * Every method rejects with a GodwitError (`DISK_READ_FAILED`, `DISK_WRITE_FAILED`, `TARGET_FULL`, `CONNECTION_FAILED`,
 * `NBD_PROTOCOL`, `CANCELED`). Requests may be issued concurrently and finish in any order. A rejected or aborted write may
 * have happened wholly, partly or not at all: the caller treats the range as unknown.
 */
export interface Disk {
  /** Bytes. Constant while open. */
  readonly size: number;
  /** Requests it is worthwhile to keep in flight at once, at most. Default of implementations: 64. */
  readonly maxInFlight: number;
  /** Time to where the bytes are and back, ms, when it was opened: a hint. Absent: next door. */
  readonly roundTripMs?: number | undefined;
  /** True when writes are refused. */
  readonly readOnly: boolean;
  /** False when the implementation can only answer `data` (extents() then gives one data extent). */
  readonly sparse: boolean;

  /** Fills `into` whole from `offset`. A range beyond the end is a programming error (RangeError). */
  read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** Writes all of `from`. The buffer belongs to the Disk until the promise settles. */
  write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** Makes the range read as zeroes, punching holes where it can. */
  zero(offset: number, length: number, signal?: AbortSignal): Promise<void>;
  /**
   * Every write and zero that finished before this call is on stable storage when it resolves. Rejects from then on when
   * a lost connection may have taken such writes with it (CONNECTION_FAILED): open the disk anew, resume from the last
   * checkpoint.
   */
  flush(signal?: AbortSignal): Promise<void>;
  /** What the range holds; see {@link Extent}. Large ranges are allowed. */
  extents(offset: number, length: number, signal?: AbortSignal): Promise<Extent[]>;
  /**
   * Ranges changed since the token the disk was opened against, or `null` when it cannot tell. Only ever a hint: the
   * engine audits it.
   */
  changed(offset: number, length: number, signal?: AbortSignal): Promise<Range[] | null>;
  /**
   * BLAKE3 digests of the leaves of a range, 32 bytes each, in order, computed where the bytes are, so that none of them
   * travel. Optional: its presence is the ability (agents have it; wrappers pass it on).
   *
   * The range starts on a leaf boundary and is cut into leaves of {@link LEAF_SIZE} from there; the last one is as short
   * as the range makes it and is hashed at that length (docs/receipt.md). At most 1,024 leaves a call. The answer tells
   * what a read of the same range, begun at the same time, would have returned: it includes every write that was
   * acknowledged before, flushed or not. Never from memory of an earlier answer.
   *
   * Rejects as a read does; the caller refuses an answer of any other length than 32 bytes per leaf.
   */
  readonly hashLeaves?: HashLeaves | undefined;
  /** Ends it; in-flight requests reject. Idempotent. Never flushes. */
  close(): Promise<void>;
}
