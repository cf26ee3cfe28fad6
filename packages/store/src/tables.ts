// Over 400 lines when complete by design: the whole schema in one place, table by table as migrations/ makes it.
import type {
  AuditMode,
  CancelMode,
  ErrorData,
  EventLevel,
  ExecutionStatus,
  ExecutionType,
  Json,
  JsonObject,
  LedgerKeep,
  LedgerState,
  MinionUse,
  ResourceKind,
  TaskStatus,
  TaskType,
  TransferScenario,
  VerifyMode,
} from '@godwit/domain';
import type { ColumnType, Generated, Insertable, Selectable, Updateable } from 'kysely';
import type { ControlTables } from './control-tables.ts';

/** A jsonb column: read as data, written as JSON text (`toJson`), because the driver turns arrays into SQL arrays. */
export type JsonColumn<T> = ColumnType<T, string, string>;
/** The same with a default in the database, or nullable. */
export type JsonDefault<T> = ColumnType<T, string | undefined, string>;
export type JsonNullable<T> = ColumnType<T | null, string | null | undefined, string | null>;
/** A column that may be null and may be left out of an insert. */
export type Nullable<T> = ColumnType<T | null, T | null | undefined, T | null>;
/** JSON text of a value for a jsonb column. */
export const toJson = (value: unknown): string => JSON.stringify(value);

/** Columns of every noun. Times are UTC with millisecond precision. */
export interface CommonColumns {
  created_at: ColumnType<Date, Date | undefined, never>;
  /** Null until the first change. */
  updated_at: Nullable<Date>;
  /** Null while the row lives; a row with a date is kept only as history. */
  deleted_at: Nullable<Date>;
}

export interface ProjectTable extends CommonColumns {
  id: string;
  /** Unique among living projects. */
  name: string;
  description: Generated<string>;
  enabled: Generated<boolean>;
}

export interface UserAccountTable extends CommonColumns {
  id: string;
  /** Unique among living users. */
  name: string;
  /** `scrypt$N$r$p$salt$hash`, salt and hash in base64. */
  password_hash: string;
  enabled: Generated<boolean>;
  default_project_id: Nullable<string>;
}

export interface RoleAssignmentTable {
  user_id: string;
  project_id: string;
  /** `admin`, `member`, `reader`. */
  role: string;
  created_at: ColumnType<Date, Date | undefined, never>;
}

export interface AuthTokenTable {
  id: string;
  /** SHA-256 of the token, hexadecimal: the token itself is never stored. */
  token_hash: string;
  user_id: string;
  /** Null: an unscoped token. */
  project_id: Nullable<string>;
  expires_at: Date;
  created_at: ColumnType<Date, Date | undefined, never>;
}

export interface RegionTable extends CommonColumns {
  id: string;
  name: string;
  description: Generated<string>;
  enabled: Generated<boolean>;
}

export interface RegionMappingTable {
  region_id: string;
  object_type: 'endpoint' | 'service';
  object_id: string;
  created_at: ColumnType<Date, Date | undefined, never>;
}

export interface ServiceTable extends CommonColumns {
  id: string;
  host: string;
  binary: string;
  topic: string;
  /** Id of the durable engine's executor that this worker runs as; null for a service entered by hand. */
  executor_id: Nullable<string>;
  enabled: Generated<boolean>;
  /** Platform name -> `{types: number[]}`. */
  providers: JsonDefault<JsonObject>;
  specs: JsonDefault<JsonObject>;
  /** UP while younger than 30 s. */
  heartbeat_at: Nullable<Date>;
}

export interface EndpointTable extends CommonColumns {
  id: string;
  project_id: string;
  user_id: string;
  name: string;
  /** Name of the provider. */
  type: string;
  description: Nullable<string>;
  /** The public part. */
  connection_info: JsonDefault<JsonObject>;
  /** All of connection_info, sealed. */
  connection_secret: Nullable<Buffer>;
}

/** Columns that a transfer and a deployment share. */
export interface ActionColumns extends CommonColumns {
  id: string;
  project_id: string;
  user_id: string;
  instances: JsonColumn<string[]>;
  origin_endpoint_id: string;
  destination_endpoint_id: string;
  source_environment: JsonDefault<JsonObject>;
  destination_environment: JsonDefault<JsonObject>;
  network_map: JsonDefault<JsonObject>;
  storage_mappings: JsonDefault<JsonObject>;
  notes: Nullable<string>;
  user_scripts: JsonDefault<JsonObject>;
  clone_disks: Generated<boolean>;
  skip_os_morphing: Generated<boolean>;
  clustered: Generated<boolean>;
  origin_minion_pool_id: Nullable<string>;
  destination_minion_pool_id: Nullable<string>;
  instance_osmorphing_minion_pool_mappings: JsonDefault<JsonObject>;
  reservation_id: Nullable<string>;
  last_execution_status: Generated<ExecutionStatus>;
  /** Number of the newest execution; numbers are never reused, so it only grows. */
  last_execution_number: Generated<number>;
  /** Instance -> export info of what it became. */
  transfer_result: JsonNullable<JsonObject>;
}

/** Godwit's own wishes for a transfer, beyond the wire contract. */
export interface TransferOptions {
  /** Bytes per second at most, over all disks of the transfer; absent: no limit. */
  rate_limit?: number;
  verify?: VerifyMode;
  audit?: AuditMode;
}

export interface TransferTable extends ActionColumns {
  scenario: TransferScenario;
  options: JsonDefault<TransferOptions>;
}

export interface DeploymentTable extends ActionColumns {
  transfer_id: string;
  transfer_scenario: TransferScenario;
  /** Execution that must complete first; null: at once. */
  deployer_id: Nullable<string>;
  trust_id: Nullable<string>;
  force: Generated<boolean>;
  /** A test failover: isolated network, removed with the deployment. */
  test: Generated<boolean>;
}

/** What one execution was asked to do. */
export interface ExecutionOptions {
  shutdown_instances?: boolean;
  auto_deploy?: boolean;
  verify?: VerifyMode;
  audit?: AuditMode;
  /** `transfer_update`: columns of the transfer and what they become when it completes; JSON columns as text. */
  change?: JsonObject;
  /** One of several runs that follow each other by themselves; only the last shuts down. */
  series?: RunSeries;
  /** Machines of pools that it needs: it begins when it holds all of them. */
  minions?: MinionUse[];
}

/** Place of a run in a series. */
export interface RunSeries {
  /** 1 and up. */
  run: number;
  of: number;
  /** The last run shuts the instances down. */
  shutdown: boolean;
}

export interface ExecutionTable extends CommonColumns {
  id: string;
  action_id: string;
  action_type: 'transfer' | 'deployment';
  /** 1 and up, unique per action. */
  number: number;
  type: ExecutionType;
  status: Generated<ExecutionStatus>;
  options: JsonDefault<ExecutionOptions>;
  cancel_requested: Nullable<CancelMode>;
  /** Raised by each walk that begins; an earlier one stands back. */
  walk_no: Generated<number>;
  started_at: Nullable<Date>;
  finished_at: Nullable<Date>;
}

export interface TaskTable extends CommonColumns {
  id: string;
  execution_id: string;
  instance: string;
  task_type: TaskType;
  status: Generated<TaskStatus>;
  /** Place in the execution, 1 and up. */
  index: number;
  /** Ids of tasks of the same execution. */
  depends_on: JsonNullable<string[]>;
  /** Runs whatever became of the tasks it depends on. */
  on_error: Generated<boolean>;
  host: Nullable<string>;
  process_id: Nullable<number>;
  /** Fencing number: raised by each claim; a writer with a smaller one is refused. */
  attempt: Generated<number>;
  heartbeat_at: Nullable<Date>;
  started_at: Nullable<Date>;
  finished_at: Nullable<Date>;
  exception_details: Nullable<string>;
  error: JsonNullable<ErrorData>;
  result: JsonNullable<Json>;
}

export interface TaskEventTable extends CommonColumns {
  id: string;
  task_id: string;
  level: EventLevel;
  message: string;
  index: number;
}

/** Live counters of one disk's copy, bytes unless said. */
export interface DiskProgress {
  disk_id: string;
  size: number;
  /** Finished: read, compared and, where they differed, on the target. */
  done: number;
  read: number;
  sent: number;
  skipped: number;
  [counter: string]: Json;
}

export interface ProgressUpdateTable extends CommonColumns {
  id: string;
  task_id: string;
  /** Place in the task, unique. */
  index: number;
  current_step: Generated<number>;
  /** Null or 0: said once, no bar. */
  total_steps: Nullable<number>;
  message: string;
  disk: JsonNullable<DiskProgress>;
}

export interface InfoTable {
  action_id: string;
  instance: string;
  data: JsonDefault<JsonObject>;
  updated_at: Nullable<Date>;
}

export interface ReplicaDiskTable extends CommonColumns {
  id: string;
  transfer_id: string;
  instance: string;
  /** The source's disk id; unique with transfer and instance. */
  disk_id: string;
  /** Bytes. */
  size: number;
  /** The provider's TargetDisk; null once the disk was deleted. */
  target: JsonNullable<JsonObject>;
  /** Change token of the last complete execution; null: compare everything. */
  token: Nullable<string>;
  /** Number of the last complete execution, and the bytes of the source disk in it; 0: none. */
  complete_no: Generated<number>;
  complete_size: Generated<number>;
  /** Key of the snapshot that the last complete execution proved it from; disks of one instance belong together when it is the same. */
  complete_snapshot: Nullable<string>;
  /** Freshly made and known to read as zeroes. */
  zeroed: Generated<boolean>;
  /** The copy engine's ReplicaProgress: low water, intent window, snapshot, counters; null: no copy has begun. */
  progress: JsonNullable<JsonObject>;
  /** Attempt that may write; a smaller one is refused. */
  fence: Generated<number>;
  /** Number of the owner's last commit, from 1 under each fence: one that comes late, after its own repetition, is refused. */
  commit_no: Generated<number>;
  /** Deployment that took the disk itself and may be writing to it: what the leaf table says is void until it is given back. */
  lent_to: Nullable<string>;
}

export interface LeafGroupTable {
  replica_disk_id: string;
  /** 64 MiB of the disk each: group n starts at byte n * 67,108,864. */
  group_no: number;
  /** 32 bytes per leaf, at most 1,024 leaves; 32 zero bytes: unknown. */
  leaves: Buffer;
  /** Number of the execution that last changed it. */
  changed_no: number;
  /** One bit per leaf, lowest bit first: changed by execution `changed_no`. */
  changed_mask: Buffer;
}

export interface ReceiptTable {
  id: string;
  execution_id: string;
  transfer_id: string;
  project_id: string;
  instance: string;
  disk_id: string;
  document: JsonColumn<JsonObject>;
  /** Merkle roots, hexadecimal. */
  source_root: string;
  target_root: string;
  result: 'match' | 'mismatch';
  created_at: ColumnType<Date, Date | undefined, never>;
}

export interface LedgerTable extends CommonColumns {
  id: string;
  project_id: string;
  endpoint_id: string;
  transfer_id: Nullable<string>;
  deployment_id: Nullable<string>;
  execution_id: Nullable<string>;
  task_id: Nullable<string>;
  pool_id: Nullable<string>;
  /** Machine of the pool; null: shared by all of it. */
  machine_id: Nullable<string>;
  /** A LedgerKind of the provider contract. */
  kind: string;
  /** Unique per endpoint and kind among entries that are not removed. */
  name: string;
  handle: JsonDefault<JsonObject>;
  keep: Generated<LedgerKeep>;
  state: Generated<LedgerState>;
  /** Removals tried. */
  attempts: Generated<number>;
  last_error: Nullable<string>;
}

export interface EventTable {
  /** Transaction that wrote it, counted from the base of event_origin: readers wait until no older one is under way, so no event is ever passed over. */
  xid: Generated<string>;
  id: Generated<number>;
  at: Generated<Date>;
  /** Null: for every project. */
  project_id: Nullable<string>;
  type: string;
  object_type: string;
  object_id: string;
  payload: JsonDefault<JsonObject>;
}

export interface ResourceTable extends CommonColumns {
  id: string;
  project_id: string;
  endpoint_id: string;
  kind: ResourceKind;
  /** Id at the platform; unique with endpoint and kind. */
  external_id: string;
  name: string;
  data: JsonDefault<JsonObject>;
  migrated: Generated<boolean>;
}

export interface SettingTable {
  key: string;
  value: JsonNullable<Json>;
  /** A value that must not lie in clear. */
  sealed: Nullable<Buffer>;
  updated_at: Nullable<Date>;
}

/** Every table of Godwit; the durable engine's own tables live in the schema `dbos` and are not ours to touch. */
export interface Database extends ControlTables {
  project: ProjectTable;
  user_account: UserAccountTable;
  role_assignment: RoleAssignmentTable;
  auth_token: AuthTokenTable;
  region: RegionTable;
  region_mapping: RegionMappingTable;
  service: ServiceTable;
  endpoint: EndpointTable;
  transfer: TransferTable;
  deployment: DeploymentTable;
  execution: ExecutionTable;
  task: TaskTable;
  task_event: TaskEventTable;
  progress_update: ProgressUpdateTable;
  info: InfoTable;
  replica_disk: ReplicaDiskTable;
  leaf_group: LeafGroupTable;
  receipt: ReceiptTable;
  ledger: LedgerTable;
  event: EventTable;
  resource: ResourceTable;
  setting: SettingTable;
}

export type Project = Selectable<ProjectTable>;
export type UserAccount = Selectable<UserAccountTable>;
export type RoleAssignment = Selectable<RoleAssignmentTable>;
export type Region = Selectable<RegionTable>;
export type Service = Selectable<ServiceTable>;
export type Endpoint = Selectable<EndpointTable>;
export type Transfer = Selectable<TransferTable>;
export type NewTransfer = Insertable<TransferTable>;
export type TransferChange = Updateable<TransferTable>;
export type Deployment = Selectable<DeploymentTable>;
export type NewDeployment = Insertable<DeploymentTable>;
export type DeploymentChange = Updateable<DeploymentTable>;
export type Execution = Selectable<ExecutionTable>;
export type Task = Selectable<TaskTable>;
export type TaskEvent = Selectable<TaskEventTable>;
export type ProgressUpdate = Selectable<ProgressUpdateTable>;
export type ReplicaDisk = Selectable<ReplicaDiskTable>;
export type LeafGroup = Selectable<LeafGroupTable>;
export type Receipt = Selectable<ReceiptTable>;
export type LedgerRow = Selectable<LedgerTable>;
export type StoredEvent = Selectable<EventTable>;
export type Resource = Selectable<ResourceTable>;
