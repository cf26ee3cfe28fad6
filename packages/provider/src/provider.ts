import type { DiskAddress } from '@godwit/disk';
import type { InstanceInfo, InstanceSummary, JsonObject, Network, StorageBackend } from '@godwit/domain';
import type { TSchema } from 'typebox';

/**
 * The contract every platform implements: one page. Optional members are abilities; their presence is the capability.
 *
 * Rules that hold for every method:
 * - Idempotent by `key`: a second call with the same key after a crash gives the same thing, never a second one.
 * - Whatever is made on the platform is first announced with `ctx.ledger.intend()` and confirmed with `made()`.
 * - What is returned is plain JSON, without secrets: it is stored and handed back to a later call, maybe in another process.
 * - Rejects with GodwitError only; honours `ctx.signal` within 2 s.
 */
export interface Provider {
  /** Name users type: `libvirt`, `image`, `openstack`. Names known to existing consoles are preferred. */
  readonly name: string;
  /** JSON Schema of `connection_info`; secret fields are marked `writeOnly: true`. */
  readonly connectionSchema: TSchema;
  /** Cheap proof that the connection works and the credentials are right. */
  validateConnection(ctx: ProviderContext): Promise<void>;
  listInstances(ctx: ProviderContext, query: InstanceQuery): Promise<InstanceSummary[]>;
  /** `NOT_FOUND` when it does not exist. `id` is what listInstances gave; a unique name is accepted too. */
  getInstance(ctx: ProviderContext, id: string, environment: JsonObject): Promise<InstanceInfo>;
  listNetworks?(ctx: ProviderContext, environment: JsonObject): Promise<Network[]>;
  listStorage?(ctx: ProviderContext, environment: JsonObject): Promise<StorageBackend[]>;
  /** Values on offer for the named options of the source or destination environment (all when `names` is empty). */
  listOptions?(
    ctx: ProviderContext,
    side: 'source' | 'destination',
    environment: JsonObject,
    names: string[],
  ): Promise<OptionValues[]>;
  /**
   * Removes one thing that the ledger says is ours. Gone already is success. Never touches anything else: `handle` is all
   * it may act upon, and where the platform allows it checks the mark of ownership before removing.
   */
  remove(ctx: ProviderContext, entry: LedgerEntry): Promise<void>;
  readonly source?: SourceProvider;
  readonly target?: TargetProvider;
  readonly pools?: PoolProvider;
}

/**
 * Keeps helper machines ready. A side without a schema has no pools. What it makes is kept for as long as its pool, or its
 * machine, whatever `keep` says. Nobody else uses a machine while one of these methods works on it.
 */
export interface PoolProvider {
  /** Options of a pool at a source; at a destination. */
  readonly sourceSchema?: TSchema;
  readonly destinationSchema?: TSchema;
  /** Refuses (typed) options that no machine can be made from. */
  validate(ctx: ProviderContext, pool: PoolRequest): Promise<void>;
  /** Makes, or finds by `pool.key`, what all machines of the pool share. Users see what it returns. */
  createShared(ctx: ProviderContext, pool: PoolRequest): Promise<JsonObject>;
  /** Removes it. Gone already is success. */
  deleteShared(ctx: ProviderContext, pool: PoolRequest): Promise<void>;
  /** Makes, or finds by `machine.key`, a machine that runs. It may not answer yet: checkMachine() waits for that. */
  createMachine(ctx: ProviderContext, machine: MachineRequest): Promise<Machine>;
  /** Removes a machine and all that was made for it, in whatever state it is. Gone already is success; disks stay. */
  deleteMachine(ctx: ProviderContext, machine: MachineRequest): Promise<void>;
  /** Runs already is success. */
  startMachine(ctx: ProviderContext, machine: MachineRequest, made: Machine): Promise<void>;
  /** Stopped already is success. */
  stopMachine(ctx: ProviderContext, machine: MachineRequest, made: Machine): Promise<void>;
  /**
   * Proves that the machine runs and answers, and takes away whatever former users left on it, so that the next one finds
   * it empty. Rejects `MINION_UNUSABLE` when only another machine will do.
   */
  checkMachine(ctx: ProviderContext, machine: MachineRequest, made: Machine): Promise<void>;
}

/** What the machines of a pool are made from. */
export interface PoolRequest {
  /** Unique per pool; [a-z0-9-], at most 40 characters: fit for names on the platform. */
  key: string;
  side: 'source' | 'destination';
  /** `linux`, `windows`. */
  osType: string;
  /** By the side's schema. */
  environment: JsonObject;
}

/** One machine of a pool. */
export interface MachineRequest extends Omit<PoolRequest, 'key'> {
  /** Unique per machine, never used again; as the pool's key. */
  key: string;
  /** What createShared() gave. */
  shared: JsonObject;
}

/** A machine that was made; kept with the pool and given back with every later call. */
export interface Machine {
  /** Id at the platform. */
  id: string;
  /** How workers reach it, for people: `ip`, `port`, `username`. */
  connection: JsonObject;
  /** For the provider's own later calls. Never secrets: a key is to follow from the connection's. */
  handle: JsonObject;
}

/** What a provider gets with every call. */
export interface ProviderContext {
  /** For messages: `endpoint lab`. */
  readonly endpoint: string;
  readonly connectionInfo: JsonObject;
  readonly signal: AbortSignal;
  readonly ledger: Ledger;
  /** A private folder of this worker for sockets and scratch files; emptied when the worker starts. Short path. */
  readonly workDir: string;
  /** A line for the task's progress updates, for people. */
  progress(message: string): void;
  /**
   * Present when this end works through a machine of a pool: `machine` once the execution holds one. It is used in place of
   * one of its own, emptied after use and never removed.
   */
  readonly pool?: { machine: Machine | null };
}

/** Which instances to list. */
export interface InstanceQuery {
  /** Case-insensitive substring of the name. */
  name?: string;
  /** Id of the last item already seen. */
  marker?: string;
  /** 1 or more; absent: all. */
  limit?: number;
  /** Do not answer from a cache. */
  refresh?: boolean;
  /** By the source's schema. */
  environment: JsonObject;
}

/** What may be chosen for a field of an environment: consoles offer it in place of free text. */
export interface OptionValues {
  /** The field. */
  name: string;
  values: (string | { id: string; name: string })[];
  config_default?: string | { id: string; name: string } | null;
}

/** Reads instances: snapshots, each disk readable by range, with what changed since a token. */
export interface SourceProvider {
  readonly environmentSchema: TSchema;
  /** Refuses (typed) what cannot be read: unsupported disks, another job in the way, missing rights. */
  validate(ctx: ProviderContext, instance: string, environment: JsonObject): Promise<void>;
  /**
   * All disks of the instance frozen at one moment. Writes after it never show. Idempotent by `request.key`: when the
   * snapshot of that key still lives it is returned as it is; when it was made and is gone, a new one is made only if
   * `request.resume` is false, otherwise rejects `SNAPSHOT_LOST`.
   */
  snapshot(ctx: ProviderContext, request: SnapshotRequest): Promise<Snapshot>;
  /** Starts whatever serves the bytes. May be called again after a crash of the worker. */
  open(ctx: ProviderContext, snapshot: Snapshot): Promise<OpenDisks>;
  /**
   * Proves that the snapshot held until now. The engine asks when the last byte was read and before it writes receipts;
   * absent: snapshots of this platform cannot break. Rejects `SNAPSHOT_LOST`.
   */
  check?(ctx: ProviderContext, snapshot: Snapshot): Promise<void>;
  /** Ends the snapshot. With `keepToken` the platform goes on tracking changes from this moment (the next run's token). */
  release(ctx: ProviderContext, snapshot: Snapshot, keepToken: boolean): Promise<void>;
  /** Stops tracking from a token that no later run needs. Gone already is success. */
  dropToken(ctx: ProviderContext, instance: string, token: string): Promise<void>;
  /** Stops the instance: asks the guest first, then pulls the plug after `graceSeconds` (default 60). Stopped already is success. */
  shutdown(ctx: ProviderContext, instance: string, graceSeconds?: number): Promise<void>;
  /** Starts it again, for a cutover that was called off. Running already is success. */
  powerOn(ctx: ProviderContext, instance: string): Promise<void>;
}

/** A moment to freeze an instance at. */
export interface SnapshotRequest {
  /** Unique per execution and instance; [a-z0-9-], at most 40 characters: fit for names on the platform. */
  key: string;
  instance: string;
  environment: JsonObject;
  /** Per disk id the token of the last complete run, or null for a first or forced full run. */
  tokens: Record<string, string | null>;
  /** True when a copy from the snapshot of this key has begun. */
  resume: boolean;
}

/** All disks of an instance as they were at one moment. Plain JSON: it is stored, and read by another worker after a crash. */
export interface Snapshot {
  key: string;
  instance: string;
  /** ISO 8601 UTC, the moment the disks are frozen at. */
  takenAt: string;
  /** `crash` when no guest helped, `filesystem` when the guest's file systems were frozen, `stopped` when it was off. */
  consistency: 'crash' | 'filesystem' | 'stopped';
  disks: SnapshotDisk[];
  /** For the provider's own later calls. */
  handle: JsonObject;
}

/** A disk within a snapshot. */
export interface SnapshotDisk {
  /** As in the description of the instance. */
  id: string;
  /** Bytes at the moment of the snapshot. */
  size: number;
  /** Token to name in the next run, or null when this disk cannot be tracked. */
  token: string | null;
  /** `exact`: Disk.changed() tells changes since the asked token. `unknown`: compare everything. */
  changes: 'exact' | 'unknown';
  /** Why `unknown`, for people: `raw disks cannot be tracked`, `bitmap is gone`, `first run`. */
  reason?: string;
}

/** Disks being served: an address per disk id, until close(). */
export interface OpenDisks {
  addresses: Record<string, DiskAddress>;
  /** Ends the serving (processes, tunnels, leases); never removes the snapshot or the disks. Idempotent. */
  close(): Promise<void>;
}

/** Takes disks to write and turns them into an instance. */
export interface TargetProvider {
  readonly environmentSchema: TSchema;
  /** Refuses (typed) what cannot be built there: unmapped network, unknown storage, not enough space, name taken. */
  validate(ctx: ProviderContext, request: TargetRequest): Promise<void>;
  /**
   * Creates (or finds, by `request.key`) one disk per source disk, of its size or larger. `existing` are the disks of
   * earlier executions: kept, never recreated; grown where the source grew and the platform can, else `DISK_GREW`.
   */
  createDisks(ctx: ProviderContext, request: TargetRequest, existing: TargetDisk[]): Promise<TargetDisk[]>;
  /** Makes them writable by range. After a worker's crash a former writer is shut out before this resolves. */
  openDisks(ctx: ProviderContext, disks: TargetDisk[], readOnly: boolean): Promise<OpenDisks>;
  deleteDisks(ctx: ProviderContext, disks: TargetDisk[]): Promise<void>;
  /** A point to return to before a deployment touches the disks. Idempotent by key. */
  snapshotDisks(ctx: ProviderContext, key: string, disks: TargetDisk[]): Promise<TargetDisk[]>;
  /** Back to that point; the disks equal their state at snapshotDisks(). */
  restoreDisks(ctx: ProviderContext, key: string, disks: TargetDisk[]): Promise<TargetDisk[]>;
  deleteDiskSnapshots(ctx: ProviderContext, key: string, disks: TargetDisk[]): Promise<TargetDisk[]>;
  /**
   * Makes the instance, powered off. `clone`: from copies or overlays of the disks, so that replication can go on;
   * otherwise it takes the disks themselves. Idempotent by `request.key`.
   */
  deployInstance(ctx: ProviderContext, request: DeployRequest): Promise<DeployedInstance>;
  /** Boots it unless told not to; returns what it has become. */
  finalizeInstance(ctx: ProviderContext, request: DeployRequest, deployed: DeployedInstance): Promise<InstanceInfo>;
  /** Removes the instance and its clones (never the replica disks): a failed deployment, the end of a test. */
  removeInstance(ctx: ProviderContext, deployed: DeployedInstance): Promise<void>;
}

/** For whom disks and instances are made at a target. */
export interface TargetRequest {
  /** Unique per transfer and instance, of a deployment per execution and instance; [a-z0-9-], at most 40 characters. */
  key: string;
  /** Transfer id: written into names or metadata of all that is made. */
  transfer: string;
  instance: InstanceInfo;
  environment: JsonObject;
  networkMap: Record<string, string>;
  storageMappings: StorageMappings;
}

/** Where disks go: by disk, else by the source's backend, else the default, else the environment's. */
export interface StorageMappings {
  default?: string | null;
  backend_mappings?: { source: string; destination: string }[];
  disk_mappings?: { disk_id: string; destination: string }[];
}

/** A disk that was made at a target. Plain JSON: it is stored between executions. */
export interface TargetDisk {
  /** The source disk's id. */
  id: string;
  /** Bytes; the source's or more. */
  size: number;
  /** True when freshly made and known to read as zeroes. */
  zeroed: boolean;
  /** For the provider's own later calls: paths and ids, never secrets. */
  handle: JsonObject;
}

/** An instance to make out of disks. */
export interface DeployRequest extends TargetRequest {
  disks: TargetDisk[];
  /** From copies or overlays of the disks; false: from the disks themselves. */
  clone: boolean;
  /** Test failover: isolated network, name marked, nothing of the source's identity on a real network. */
  test: boolean;
  /** Default true. */
  powerOn: boolean;
}

/** An instance that was made. Plain JSON: it is stored until it is handed over or removed. */
export interface DeployedInstance {
  /** Id at the platform. */
  id: string;
  name: string;
  handle: JsonObject;
}

/** Kinds of things made on platforms. `pool`: what the machines of a pool share. */
export type LedgerKind =
  | 'snapshot'
  | 'token'
  | 'export'
  | 'disk'
  | 'disk_snapshot'
  | 'instance'
  | 'network'
  | 'file'
  | 'pool';

/** One thing that Godwit made, or was about to make, on a platform. */
export interface LedgerEntry {
  id: string;
  kind: LedgerKind;
  /** Unique per endpoint and kind: the name it has or will have. */
  name: string;
  /** All that `remove` needs. */
  handle: JsonObject;
}

/** The ledger of one task: written before anything is created, so that nothing made is ever unknown. */
export interface Ledger {
  /**
   * Announces a creation. Resolves when it is committed; the same kind and name again gives the same entry.
   * `keep`: `execution` (default) removed by the reaper when the execution has ended; `transfer` when the transfer is
   * deleted; `deployment` when the deployment is deleted or failed; `forever` handed to the user (a deployed instance):
   * not before `finalizeInstance`, and never for a test.
   */
  intend(
    kind: LedgerKind,
    name: string,
    handle: JsonObject,
    keep?: 'execution' | 'transfer' | 'deployment' | 'forever',
  ): Promise<LedgerEntry>;
  /** Confirms it, with what only creation could tell. */
  made(entry: LedgerEntry, handle?: JsonObject): Promise<void>;
  /** It is gone. */
  removed(kind: LedgerKind, name: string): Promise<void>;
}
