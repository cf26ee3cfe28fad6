import type { JsonObject } from '@godwit/domain';
import type { LedgerEntry } from '../provider.ts';

/**
 * What a provider's own tests give to the suite, so that it can do what a user's endpoint must not suffer: write as a
 * guest does, break credentials, look at everything there is. All on a platform made for the test.
 */
export interface ConformanceSubject {
  /** Makes an instance of at least two disks; the first one is never written. */
  makeInstance(): Promise<SubjectInstance>;
  /** Names of all things that Godwit could have made: disks, files, snapshots, checkpoints, domains. Any order. */
  listEverything(): Promise<string[]>;
  /** A connection that reaches the platform with wrong credentials, or why there is none. */
  wrongCredentials(): Promise<JsonObject | string>;
  /** A connection that leads nowhere. */
  unreachable(): Promise<JsonObject>;
  /** Ledger entries that name things of the platform which are not ours; `remove` must refuse each and leave it. */
  unowned(): Promise<LedgerEntry[]>;
}

export interface SubjectInstance {
  id: string;
  name: string;
  disks: SubjectDisk[];
  /** Writes into a disk as the guest would. */
  write(disk: string, offset: number, bytes: Uint8Array): Promise<void>;
}

export interface SubjectDisk {
  id: string;
  /** Bytes. */
  size: number;
  /** Bytes known to be there. */
  known: { offset: number; bytes: Uint8Array };
}
