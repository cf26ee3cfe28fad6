/**
 * How to reach a disk, as plain data: it crosses threads, processes and the database. Holds no secret; key material is
 * named by path.
 */
export type DiskAddress = FileAddress | NbdAddress | AgentAddress;

/** A raw image file or block device on the worker's own machine. */
export interface FileAddress {
  kind: 'file';
  path: string;
  readOnly: boolean;
}

/** An export of an NBD server. */
export interface NbdAddress {
  kind: 'nbd';
  /** Unix socket path, or host and TCP port. */
  transport: { unix: string } | { host: string; port: number };
  /** Export name; '' is the default export. */
  export: string;
  readOnly: boolean;
  /** Meta context that tells changed ranges, e.g. `qemu:dirty-bitmap:changed`; absent: changed() answers null. */
  changedContext?: string;
  /** Present: TLS by NBD_OPT_STARTTLS. Paths of PEM files; `serverName` is checked against the certificate. */
  tls?: { caFile: string; certFile?: string; keyFile?: string; serverName?: string };
  /** Connections at most. Default 4 when the server advertises multi-conn, else 1. */
  connections?: number;
}

/** A device that an agent on a minion serves; lives as long as the agent that `pushAgent` started. */
export interface AgentAddress {
  kind: 'agent';
  /** Unix socket of this worker that leads to the agent. */
  socket: string;
  /** File with what the agent wants to hear before it serves; for this user only. */
  tokenFile: string;
  /** The device, as `pushAgent` was told to call it. */
  device: string;
  readOnly: boolean;
  /** Compress what travels where that is faster. Default true. */
  compress?: boolean;
  /** Connections at most. Default 8: SSH bounds what one may have on the way. */
  connections?: number;
}
