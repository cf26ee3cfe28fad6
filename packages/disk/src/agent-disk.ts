import { readFile } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain';
import { AgentHashes } from './agent-hashes.ts';
import { CompressionChoice } from './compression-choice.ts';
import type { Disk, HashLeaves } from './disk.ts';
import type { AgentAddress, NbdAddress } from './disk-address.ts';
import { checkRange } from './disk-range.ts';
import { openNbd } from './nbd-disk.ts';
import type { NbdOptions } from './nbd-link.ts';
import type { AgentSession } from './nbd-stream.ts';
import { WrappedDisk } from './wrapped-disk.ts';

/** SSH lets 2 MiB be on the way in each connection: four chunks. */
const CONNECTION_SHARE = 4;
const CONNECTIONS = 8;
/** A minion that says nothing for so long while it is asked is gone, ms. */
const STALL_MS = 30_000;

/**
 * Opens a device that an agent serves.
 *
 * @throws GodwitError CONNECTION_FAILED (the agent is gone), AUTHENTICATION_FAILED, NOT_FOUND (a device that it was not
 *   given), NBD_PROTOCOL, UNSUPPORTED (writing asked for, given read-only), CANCELED
 */
export async function openAgentDisk(
  address: AgentAddress,
  options: NbdOptions = {},
  signal?: AbortSignal,
): Promise<Disk> {
  const label = options.label ?? `disk ${address.device} of an agent`;
  let token: string;
  try {
    token = (await readFile(address.tokenFile, 'utf8')).trim();
  } catch (error) {
    throw GodwitError.wrap(error, 'CONNECTION_FAILED', label);
  }
  const session: AgentSession = { token, compression: (address.compress ?? true) ? new CompressionChoice() : null };
  const far: NbdAddress = {
    kind: 'nbd',
    transport: { unix: address.socket },
    export: address.device,
    readOnly: address.readOnly,
    connections: address.connections ?? CONNECTIONS,
  };
  const stallTimeoutMs = options.stallTimeoutMs ?? STALL_MS;
  const disk = await openNbd(
    far,
    { connectionShare: CONNECTION_SHARE, ...options, label, session, stallTimeoutMs, reconnectForMs: 0 },
    signal,
  );
  const connectTimeoutMs = options.connectTimeoutMs ?? 10_000;
  return new AgentDisk(disk, new AgentHashes(far, { label, connectTimeoutMs, stallTimeoutMs, session }));
}

/** The bytes come by NBD, the digests by a connection of their own. */
class AgentDisk extends WrappedDisk {
  readonly #hashes: AgentHashes;

  constructor(inner: Disk, hashes: AgentHashes) {
    super(inner);
    this.#hashes = hashes;
  }

  override get hashLeaves(): HashLeaves {
    return async (offset, length, signal) => {
      checkRange(this.size, offset, length);
      return this.#hashes.hash(offset, length, signal);
    };
  }

  override async close(): Promise<void> {
    this.#hashes.close();
    await this.inner.close();
  }
}
