import type { JsonObject } from '@godwit/domain';
import type { Execution, Task, Transfer, TransferChange } from '@godwit/store';
import type { Logger } from 'pino';
import type { CallOptions, ProviderCalls, ProviderMethod } from './provider-call.ts';

export interface ExecuteTransferRequest {
  transferId: string;
  /** Of which project it must be: another one's is `NOT_FOUND`. Default: any. */
  projectId?: string;
  /** Stop the instances before the last pass: the cutover. Default false. */
  shutdownInstances?: boolean;
  /** Deploy when the execution has completed. Default false. */
  autoDeploy?: boolean;
  /**
   * Executions that follow each other by themselves, each when the one before has completed. Only the last one shuts down
   * and deploys. Default 1.
   */
  runs?: number;
  /** Who asks; default: the transfer's user. Becomes the user of an automatic deployment. */
  userId?: string;
  /** How much of the target is re-read. Default: the transfer's option, else `whole` with shutdownInstances, else `changed`. */
  verify?: 'changed' | 'whole';
  /** How much the source's change tracker is audited. Default: as `verify`. */
  audit?: 'sample' | 'whole';
}

export interface UpdateTransferRequest {
  transferId: string;
  /** From the transfer as it is, locked, to what shall become of it. What it throws refuses the request. */
  change: (transfer: Transfer) => TransferChange;
}

export interface DeployTransferRequest {
  transferId: string;
  userId: string;
  /** Deploy copies of the disks, so that replication can go on. Default: the transfer's. */
  cloneDisks?: boolean;
  /** Deploy although no execution has completed. Default false. */
  force?: boolean;
  /** Test failover: a clone in an isolated network, removed with the deployment. Implies cloneDisks. Default false. */
  test?: boolean;
  /** Default: the transfer's. */
  skipOsMorphing?: boolean;
  /** Default: the transfer's. */
  userScripts?: JsonObject;
  /** Default: the transfer's. */
  osmorphingPoolMappings?: JsonObject;
  /** Boot the instance. Default true. */
  powerOn?: boolean;
}

/** An execution that has been committed: its rows, its tasks and its workflow. */
export interface StartedExecution {
  executionId: string;
  /** 1-based within the transfer or deployment. */
  number: number;
  /** Its row and those of its tasks, in order of index, as they were committed. */
  execution: Execution & { tasks: Task[] };
}

/**
 * What the API process does with the engine. It never runs a provider and never launches a workflow: it writes rows, and
 * workers take them.
 *
 * Every method that starts something commits the rows of the API and the workflow in one transaction: either it will run,
 * or nothing has happened. All reject with GodwitError only.
 */
export interface EngineClient {
  /**
   * Starts a run of a transfer. `NOT_FOUND`; `BAD_REQUEST` (the wire contract's 400) while another execution is
   * active, `CONFLICT` while a deployment of it is.
   */
  executeTransfer(request: ExecuteTransferRequest): Promise<StartedExecution>;
  /**
   * Starts an execution (`transfer_update`) in which both ends judge new settings; the transfer has them when it completes,
   * and keeps the old ones when it does not. Refused as `executeTransfer` is.
   */
  updateTransfer(request: UpdateTransferRequest): Promise<StartedExecution>;
  /**
   * Sets the rate limit of a transfer, bytes per second and direction; null: none. Allowed at any time: a copy under way keeps
   * to it within 6 s. `NOT_FOUND`, `INVALID_INPUT`; `BAD_REQUEST` while an update of the transfer is under way.
   */
  limitTransfer(transferId: string, rateLimit: number | null): Promise<void>;
  /**
   * Starts a deployment of a transfer's disks and creates its row. `NOT_FOUND`; `BAD_REQUEST` when no execution has
   * completed (unless `force`), an instance has no disks yet, or an execution is active.
   */
  deploy(request: DeployTransferRequest): Promise<StartedExecution & { deploymentId: string }>;
  /** Starts the removal of a transfer's replica disks, as an execution of its own. `NOT_FOUND`, `CONFLICT` as above. */
  deleteDisks(transferId: string): Promise<StartedExecution>;
  /**
   * Cooperative: running copies stop within 2 s, then cleanup tasks run; `CANCELED` at the end. Force: all tasks are
   * `FORCE_CANCELED` and the execution is `CANCELED` at once; what is left on the platforms is removed from the ledger.
   * `BAD_REQUEST` when it has ended already.
   */
  cancelExecution(executionId: string, force?: boolean): Promise<void>;
  /** The same for a deployment's execution; one that still waits for its execution (PENDING) is CANCELED at once. */
  cancelDeployment(deploymentId: string, force?: boolean): Promise<void>;
  /**
   * Marks the deployment deleted and, for a test failover, removes its instance and clones. A real instance stays. A
   * pending one is only marked. `CONFLICT` while it runs.
   */
  deleteDeployment(deploymentId: string): Promise<void>;
  /**
   * Marks the transfer deleted and removes what was kept for it on the platforms: replica disks, tokens, snapshots.
   * `CONFLICT` while an execution or deployment of it is active.
   */
  deleteTransfer(transferId: string): Promise<void>;
  /**
   * Starts making the machines of a minion pool, checking and trimming them, or removing them; with `force` from any state.
   * The pool's row is IN_MAINTENANCE when this resolves. `NOT_FOUND`, `BAD_REQUEST` in the wrong state, `UNSUPPORTED`.
   */
  actOnPool(poolId: string, action: 'allocate' | 'refresh' | 'deallocate', force?: boolean): Promise<void>;
  /**
   * One call of the endpoint's provider, made by a worker that reaches it. `NO_WORKER` at once when none is up,
   * `UNSUPPORTED` when the provider lacks the ability, else the provider's own error.
   */
  callProvider<M extends ProviderMethod>(
    endpointId: string,
    method: M,
    args: ProviderCalls[M]['args'],
    options?: CallOptions,
  ): Promise<ProviderCalls[M]['result']>;
  /**
   * Says of queued work that no worker can take why it waits, among the events of its task or pool, once for each reason.
   * Workers do the same every 5 s: this is for when none is there. Returns how many were told.
   */
  explainWaiting(): Promise<number>;
  /** Ends its connections; calls under way reject with `CANCELED`. */
  close(): Promise<void>;
}

/** How the API process connects: `connectEngine(options)` in this package. */
export interface EngineClientOptions {
  /** Postgres, the same as the store's. */
  databaseUrl: string;
  /** Default: silent. */
  log?: Logger;
}
