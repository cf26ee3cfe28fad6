import { GodwitError } from '@godwit/domain';
import type { NbdRequest } from './nbd-request.ts';
import * as wire from './nbd-wire.ts';

/** What a server's error number means for the operator. */
export function replyError(label: string, request: NbdRequest): GodwitError {
  const name = wire.errnoNames[request.errno] ?? `error ${request.errno}`;
  const reason = request.errorText ? `${name} (${request.errorText})` : name;
  if (request.errno === wire.ENOSPC) return new GodwitError('TARGET_FULL', label, { offset: request.offset, reason });
  const reading = request.command === wire.CMD_READ || request.command === wire.CMD_BLOCK_STATUS;
  const code = reading ? 'DISK_READ_FAILED' : 'DISK_WRITE_FAILED';
  return new GodwitError(code, label, { offset: request.offset, reason });
}

/** How an address is called in errors: enough to find it, no secret. */
export function addressLabel(address: {
  transport: { unix: string } | { host: string; port: number };
  export: string;
}): string {
  const { transport } = address;
  const where = 'unix' in transport ? transport.unix : `${transport.host}:${transport.port}`;
  return `NBD disk ${where}${address.export ? `/${address.export}` : ''}`;
}
