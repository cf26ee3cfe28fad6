/**
 * What the agent on a minion speaks beyond NBD (docs/design/agent.md). Both sides use this file: it imports nothing, because
 * it is sent to minions.
 */

/** NBD option: JSON {@link SessionWish}. Nothing else is answered before it. */
export const OPT_SESSION = 0x47570001;
/** NBD option: export name. The connection then hashes leaves of that export. */
export const OPT_LEAVES = 0x47570002;

export interface SessionWish {
  token: string;
  /** All that follows the acknowledgement goes in frames, both ways. */
  compress: boolean;
}

/** Bytes of a leaf. */
export const LEAF_BYTES = 65_536;
/** Bytes of a digest. */
export const DIGEST_BYTES = 32;
/** Leaves of one request to hash at most. */
export const MAX_LEAVES = 1_024;

/** Bytes of a request to hash: number (32 bits), offset (64), length (32); big-endian. */
export const HASH_REQUEST_SIZE = 16;
/** Bytes before the digests of an answer: number (32), error number (32); no digests after an error. */
export const HASH_REPLY_SIZE = 8;

/** Bytes before a frame: its length, and whether it is compressed in the highest bit. */
export const FRAME_HEADER_SIZE = 4;
/** Bytes of a frame at most, packed or not. */
export const MAX_FRAME = 1_048_576;
export const FRAME_PACKED = 0x8000_0000;
