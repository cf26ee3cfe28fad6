import { type FileHandle, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GodwitError } from '@godwit/domain';
import type { CheckpointStore, CompletedRun, LeafGroup, ReplicaProgress, StoredReplica } from './checkpoint-store.ts';
import { digest } from './digest.ts';

const MAGIC = 0x47574350;
/** Magic, payload length, BLAKE3 of the payload. */
const HEADER = 40;
/** Group number, changedNo, bytes of leaves, bytes of mask. */
const GROUP_HEADER = 16;
/** The log is rewritten once it is larger than this and than four times what lives in it. */
const COMPACT_BYTES = 4_194_304;

interface Head extends StoredReplica {
  fence: number;
}

/** Where a group lies in the log. */
interface Place {
  offset: number;
  leafBytes: number;
  maskBytes: number;
  changedNo: number;
}

/**
 * A {@link CheckpointStore} in one file, for copies outside an installation and for measurements. The file is a log: one
 * checksummed record per commit, so that a torn commit is none. Opening it with a higher fence shuts former owners out.
 */
export class FileCheckpointStore implements CheckpointStore {
  readonly #path: string;
  readonly #fence: number;
  #file: FileHandle;
  #end = 0;
  #head: Head = { fence: 0, complete: null, progress: null };
  readonly #places = new Map<number, Place>();
  #live = 0;
  /** Calls run one after the other, reads apart: they need not wait until a commit is on stable storage. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Reads under way: a rewrite must not pull the file from under them. */
  readonly #reading = new Set<Promise<unknown>>();
  #rewriting: Promise<void> | null = null;

  private constructor(path: string, file: FileHandle, fence: number) {
    this.#path = path;
    this.#file = file;
    this.#fence = fence;
  }

  /**
   * Opens or creates it.
   *
   * @param fence number of the attempt; higher than that of any former owner, or the same after a crash of it
   * @throws GodwitError FENCED
   */
  static async open(path: string, fence = 1): Promise<FileCheckpointStore> {
    const file = await open(path, 'a+').then(async (made) => {
      await made.close();
      return open(path, 'r+');
    });
    const store = new FileCheckpointStore(path, file, fence);
    try {
      await store.#replay();
      if (store.#head.fence > fence) throw store.#fenced();
      store.#head.fence = fence;
      await store.#append([]);
    } catch (error) {
      await file.close();
      throw error;
    }
    return store;
  }

  load(): Promise<StoredReplica | null> {
    return this.#queued(async () => {
      const { complete, progress } = this.#head;
      return complete || progress ? structuredClone({ complete, progress }) : null;
    });
  }

  async readGroups(first: number, count: number): Promise<LeafGroup[]> {
    while (this.#rewriting) await this.#rewriting;
    const reads: Promise<LeafGroup>[] = [];
    for (let group = first; group < first + count; group++) {
      const place = this.#places.get(group);
      if (place) reads.push(this.#read(group, place));
    }
    const all = Promise.all(reads);
    const ended = all.then(
      () => undefined,
      () => undefined,
    );
    this.#reading.add(ended);
    void ended.then(() => this.#reading.delete(ended));
    return all;
  }

  changedGroups(number: number): Promise<number[]> {
    return this.#queued(async () =>
      [...this.#places]
        .filter(([, place]) => place.changedNo > number)
        .map(([group]) => group)
        .sort((a, b) => a - b),
    );
  }

  commit(progress: ReplicaProgress, groups: LeafGroup[]): Promise<void> {
    return this.#queued(async () => {
      this.#head.progress = structuredClone(progress);
      await this.#append(groups);
    });
  }

  /** Records a complete run; from then on changes count from it. */
  complete(run: CompletedRun): Promise<void> {
    return this.#queued(async () => {
      this.#head.complete = { ...run };
      await this.#append([]);
    });
  }

  /** Releases the file. Idempotent. */
  async close(): Promise<void> {
    await this.#turn;
    await Promise.all(this.#reading);
    await this.#file.close();
  }

  #queued<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #append(groups: LeafGroup[]): Promise<void> {
    await this.#checkOwner();
    const record = encode(this.#head, groups);
    await this.#writeAll(this.#file, record, this.#end);
    await this.#file.datasync();
    this.#adopt(placesOf(record, this.#end));
    this.#end += record.length;
    if (this.#end <= COMPACT_BYTES || this.#end <= 4 * this.#live) return;
    const rewriting = this.#compact();
    this.#rewriting = rewriting.catch(() => undefined);
    try {
      await rewriting;
    } finally {
      this.#rewriting = null;
    }
  }

  /** Somebody else wrote to the file, or replaced it: a newer attempt owns it. */
  async #checkOwner(): Promise<void> {
    const [mine, theirs] = await Promise.all([this.#file.stat(), stat(this.#path)]);
    if (theirs.ino !== mine.ino || theirs.size !== this.#end) throw this.#fenced();
  }

  #fenced(): GodwitError {
    const owner = this.#head.fence > this.#fence ? this.#head.fence : 'unknown';
    return new GodwitError('FENCED', this.#path, { owner, attempt: this.#fence });
  }

  /** Reads the log; what follows the last sound record is a torn commit and is cut off. */
  async #replay(): Promise<void> {
    const { size } = await this.#file.stat();
    const header = Buffer.alloc(HEADER);
    while (this.#end + HEADER <= size) {
      await this.#readAll(header, this.#end);
      const length = header.readUInt32BE(4);
      if (header.readUInt32BE(0) !== MAGIC || this.#end + HEADER + length > size) break;
      const record = Buffer.alloc(HEADER + length);
      await this.#readAll(record, this.#end);
      if (!header.subarray(8).equals(digest(record.subarray(HEADER)))) break;
      this.#head = headOf(record);
      this.#adopt(placesOf(record, this.#end));
      this.#end += record.length;
    }
    await this.#file.truncate(this.#end);
  }

  /** Notes where the groups of a record lie. */
  #adopt(places: Map<number, Place>): void {
    for (const [group, place] of places) {
      const before = this.#places.get(group);
      if (before) this.#live -= GROUP_HEADER + before.leafBytes + before.maskBytes;
      this.#places.set(group, place);
      this.#live += GROUP_HEADER + place.leafBytes + place.maskBytes;
    }
  }

  async #read(group: number, place: Place): Promise<LeafGroup> {
    const bytes = Buffer.allocUnsafeSlow(place.leafBytes + place.maskBytes);
    await this.#readAll(bytes, place.offset);
    return {
      group,
      leaves: bytes.subarray(0, place.leafBytes),
      changedNo: place.changedNo,
      changedMask: bytes.subarray(place.leafBytes),
    };
  }

  /** Rewrites the log with what lives in it and puts it in place of the old one in one step. */
  async #compact(): Promise<void> {
    await Promise.all(this.#reading);
    const fresh = await open(`${this.#path}.new`, 'w+');
    const groups = [...this.#places.keys()].sort((a, b) => a - b);
    const places = new Map<number, Place>();
    let end = 0;
    for (let i = 0; i === 0 || i < groups.length; i += 64) {
      const some = await Promise.all(
        groups.slice(i, i + 64).map((group) => this.#read(group, this.#places.get(group)!)),
      );
      const record = encode(this.#head, some);
      await this.#writeAll(fresh, record, end);
      for (const [group, place] of placesOf(record, end)) places.set(group, place);
      end += record.length;
    }
    await fresh.datasync();
    await rename(`${this.#path}.new`, this.#path);
    await syncFolder(dirname(this.#path));
    await this.#file.close();
    this.#file = fresh;
    this.#adopt(places);
    this.#end = end;
  }

  async #readAll(into: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await this.#file.read(into, done, into.length - done, position + done);
      if (bytesRead === 0) throw this.#fenced();
      done += bytesRead;
    }
  }

  async #writeAll(file: FileHandle, from: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < from.length; ) {
      done += (await file.write(from, done, from.length - done, position + done)).bytesWritten;
    }
  }
}

function encode(head: Head, groups: readonly LeafGroup[]): Buffer {
  const json = Buffer.from(JSON.stringify(head));
  const parts: Uint8Array[] = [Buffer.alloc(HEADER), Buffer.alloc(4), json];
  (parts[1] as Buffer).writeUInt32BE(json.length);
  for (const { group, leaves, changedNo, changedMask } of groups) {
    const header = Buffer.alloc(GROUP_HEADER);
    header.writeUInt32BE(group, 0);
    header.writeUInt32BE(changedNo, 4);
    header.writeUInt32BE(leaves.length, 8);
    header.writeUInt32BE(changedMask.length, 12);
    parts.push(header, leaves, changedMask);
  }
  const record = Buffer.concat(parts);
  record.writeUInt32BE(MAGIC, 0);
  record.writeUInt32BE(record.length - HEADER, 4);
  record.set(digest(record.subarray(HEADER)), 8);
  return record;
}

function headOf(record: Buffer): Head {
  return JSON.parse(record.toString('utf8', HEADER + 4, HEADER + 4 + record.readUInt32BE(HEADER)));
}

/** Where the groups of a record that begins at `offset` lie in the file. */
function placesOf(record: Buffer, offset: number): Map<number, Place> {
  const places = new Map<number, Place>();
  for (let at = HEADER + 4 + record.readUInt32BE(HEADER); at < record.length; ) {
    const leafBytes = record.readUInt32BE(at + 8);
    const maskBytes = record.readUInt32BE(at + 12);
    const place = { offset: offset + at + GROUP_HEADER, leafBytes, maskBytes, changedNo: record.readUInt32BE(at + 4) };
    places.set(record.readUInt32BE(at), place);
    at += GROUP_HEADER + leafBytes + maskBytes;
  }
  return places;
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
