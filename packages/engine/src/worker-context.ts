import type { DBOSClient } from '@dbos-inc/dbos-sdk';
import type { CopyPool } from '@godwit/disk';
import type { Connection, Db, SecretBox } from '@godwit/store';
import type { Logger } from 'pino';
import type { Balance } from './balance.ts';
import type { Heart } from './heart.ts';
import type { ProviderRegistry } from './provider-registry.ts';
import type { RateLimits } from './rate-limits.ts';
import type { ReceiptSigner } from './receipt-signer.ts';
import type { RetryPolicy } from './retry-policy.ts';
import type { Runs } from './runs.ts';
import type { ServicePlace } from './service.ts';
import type { Turns } from './turns.ts';

/** What everything inside a worker process shares. */
export interface WorkerContext {
  readonly connection: Connection;
  readonly db: Db;
  /** The way to enqueue workflows in our own transactions. */
  readonly durable: DBOSClient;
  readonly providers: ProviderRegistry;
  readonly secrets: SecretBox;
  readonly signer: ReceiptSigner;
  readonly log: Logger;
  readonly heart: Heart;
  readonly runs: Runs;
  readonly copies: CopyPool;
  readonly rates: RateLimits;
  /** Leaves heavy tasks to workers that have less to do. */
  readonly balance: Balance;
  /** Light tasks at one endpoint at once. */
  readonly turns: Turns;
  readonly retry: RetryPolicy;
  /** Who this worker is in the service table; regions are ids, empty: only endpoints without one. */
  readonly service: ServicePlace;
  /** Private folder for sockets and scratch files; emptied at start. Short path. */
  readonly workDir: string;
  /** Endpoint id -> number of its folder therein. */
  readonly endpointFolders: Map<string, number>;
  /**
   * Named stop points between what must not be torn apart. Tests drive races with them; in service it does nothing.
   */
  readonly reach: (point: string) => Promise<void>;
}
