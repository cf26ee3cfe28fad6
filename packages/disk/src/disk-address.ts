/**
 * How to reach a disk, as plain data: it crosses threads, processes and the database. Holds no secret; key material is
 * named by path.
 */
export type DiskAddress = FileAddress | NbdAddress;

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
