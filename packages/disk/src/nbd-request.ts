import type { Range } from './disk.ts';

/** One request on its way, from the call to its last reply chunk. */
export interface NbdRequest {
  /** `CMD_*`. */
  readonly command: number;
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
  /** Bytes to write. */
  readonly payload: Uint8Array | null;
  /** Where a read's bytes go; null once nobody waits: they are then drained. */
  into: Uint8Array | null;
  /** Reply chunks so far. */
  chunks: number;
  /** Read: bytes filled so far, when chunks came in ascending order. */
  filled: number;
  /** Read: ranges filled out of order, relative to the request; null when there are none. */
  scattered: Range[] | null;
  /** Block status: id of the meta context that is wanted. */
  contextName: string | null;
  /** Block status: alternating length and flags, as the server sent them. */
  descriptors: number[] | null;
  /** Error number of the reply; 0: none. */
  errno: number;
  /** Text that came with the error. */
  errorText: string;
  /** Connections that were lost under it. */
  losses: number;
  /** True when the caller no longer waits (aborted): the reply is still awaited and dropped. */
  abandoned: boolean;
  /** Called once, with the failure or null. */
  settle(error: Error | null): void;
}

/** True when a read's chunks cover the request exactly once. */
export function covered(request: NbdRequest): boolean {
  if (request.scattered === null) return request.filled === request.length;
  const ranges = request.scattered.sort((a, b) => a.offset - b.offset);
  let at = request.filled;
  for (const range of ranges) {
    if (range.offset !== at) return false;
    at += range.length;
  }
  return at === request.length;
}

/** Notes that a chunk of a read arrived; false when it repeats bytes or lies outside the request. */
export function cover(request: NbdRequest, offset: number, length: number): boolean {
  if (offset < 0 || offset + length > request.length) return false;
  if (request.scattered === null && offset === request.filled) {
    request.filled += length;
    return true;
  }
  if (offset < request.filled) return false;
  request.scattered ??= [];
  request.scattered.push({ offset, length });
  return true;
}
