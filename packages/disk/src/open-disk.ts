import { openAgentDisk } from './agent-disk.ts';
import type { Disk } from './disk.ts';
import type { DiskAddress } from './disk-address.ts';
import { type FileOptions, openFileDisk } from './file-disk.ts';
import { openNbd } from './nbd-disk.ts';
import type { NbdOptions } from './nbd-link.ts';

/** Options of any kind; each kind reads its own. */
export type OpenDiskOptions = NbdOptions & FileOptions;

/**
 * Opens a disk wherever it is. Works in any thread; what it starts ends with `close()`.
 *
 * @throws GodwitError CONNECTION_FAILED, NOT_FOUND, AUTHENTICATION_FAILED, NBD_PROTOCOL, FORBIDDEN, UNSUPPORTED, CANCELED
 */
export function openDisk(address: DiskAddress, options: OpenDiskOptions = {}, signal?: AbortSignal): Promise<Disk> {
  switch (address.kind) {
    case 'file':
      return openFileDisk(address, options);
    case 'nbd':
      return openNbd(address, options, signal);
    case 'agent':
      return openAgentDisk(address, options, signal);
  }
}
