import type { JsonObject } from '@godwit/domain';
import type { EngineClient } from '@godwit/engine';
import type { Provider } from '@godwit/provider';
import type { Connection, SecretBox } from '@godwit/store';
import type { FastifyBaseLogger } from 'fastify';
import type { EventReaderLimits } from './event-readers.ts';
import type { Authenticator } from './identity/authenticator.ts';

export interface ApiConfig {
  /**
   * Root under which clients reach this server, without a slash at the end: `https://godwit.example.org`. Absent: each
   * answer names the host that its request named.
   */
  publicUrl?: string;
  /**
   * Addresses and networks (CIDR) of proxies: of a request that comes from one, the client's address is what its
   * X-Forwarded-For says. Default none: whatever connects is the client.
   */
  trustedProxies?: readonly string[];
  /** Version of Godwit, for documents and diagnostics. */
  version: string;
  /** Folder of `NAME.log` files of JSON lines, and what was rotated out of them. Absent: there are no logs to read. */
  logFolder?: string;
  /** Rules of the policy file, laid over the defaults. Default none. */
  policies?: Readonly<Record<string, string>>;
  /** Audit records that wait at most for the database before changes are refused. Default 10,000. */
  auditBacklog?: number;
  /** Largest body in bytes. Default 4 MiB. */
  bodyLimit?: number;
  /** Seconds that a token lives. Default 43,200 (12 h). */
  tokenSeconds?: number;
  /** Event streams at the same time. Default {@link EVENT_READERS}. */
  eventReaders?: Partial<EventReaderLimits>;
  /** Milliseconds between heartbeats of an event stream. Default 15,000. */
  eventHeartbeatMs?: number;
}

/** Where a `connection_info` of the form `{"secret_ref": URL}` lies. */
export interface ExternalSecrets {
  /**
   * The connection_info behind a reference, read with the rights of a caller's token, or of the service itself.
   *
   * @throws GodwitError
   */
  read(reference: string, token?: string): Promise<JsonObject>;
}

/** All that the API needs from outside. */
export interface ApiDeps {
  /** The store; its URL also serves the one connection that listens for events. */
  connection: Connection;
  engine: EngineClient;
  /** Providers of this installation: only their names, abilities and schemas are read. */
  providers: readonly Provider[];
  secrets: SecretBox;
  config: ApiConfig;
  /** Who tokens belong to. Default: the local identity in the store. */
  authenticator?: Authenticator;
  /** Default: none; `secret_ref` is refused then. */
  externalSecrets?: ExternalSecrets;
  /** Where tokens are to be had, for the answer to a request without one. Default: this server. */
  authUrl?: string;
  /** Default: silent. */
  logger?: FastifyBaseLogger;
  /** The present moment. Default: the system's. */
  clock?: () => Date;
}
