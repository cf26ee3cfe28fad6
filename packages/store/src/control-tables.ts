import type {
  EventLevel,
  JsonObject,
  MinionMachineStatus,
  MinionPoolStatus,
  MinionPowerStatus,
  MinionRole,
} from '@godwit/domain';
import type { ColumnType, Generated, Selectable } from 'kysely';
import type { CommonColumns, JsonColumn, JsonDefault, JsonNullable, Nullable } from './tables.ts';

/** Tables of migration 0002: what happens by the clock, for several projects, and for outsiders. */

/**
 * When a schedule fires: each field a number that must equal the tick's, absent any. `dow` 0 is Monday. UTC.
 * Or, instead of the fields, `cron` (five fields, 0 and 7 are Sunday) and the IANA time zone that it is read in.
 */
export interface ScheduleRule {
  minute?: number;
  hour?: number;
  dom?: number;
  month?: number;
  dow?: number;
  cron?: string;
  /** Default UTC; only with `cron`. */
  timezone?: string;
}

export interface ScheduleTable extends CommonColumns {
  id: string;
  transfer_id: string;
  project_id: string;
  user_id: string;
  schedule: JsonColumn<ScheduleRule>;
  enabled: Generated<boolean>;
  /** From then on it never fires. */
  expiration_date: Nullable<Date>;
  shutdown_instance: Generated<boolean>;
  auto_deploy: Generated<boolean>;
  trust_id: Nullable<string>;
  /** Every minute up to this one has been judged; starts at the creation. */
  checked_at: Generated<Date>;
}

export interface ScheduleTickTable {
  schedule_id: string;
  /** The minute it was due at. */
  due_at: Date;
  outcome: 'fired' | 'overlap' | 'missed' | 'refused';
  execution_id: Nullable<string>;
  reason: Nullable<string>;
  created_at: ColumnType<Date, Date | undefined, never>;
}

export interface MinionPoolTable extends CommonColumns {
  id: string;
  project_id: string;
  user_id: string;
  name: string;
  notes: Nullable<string>;
  endpoint_id: string;
  environment_options: JsonDefault<JsonObject>;
  os_type: string;
  platform: 'source' | 'destination';
  status: Generated<MinionPoolStatus>;
  shared_resources: JsonNullable<JsonObject>;
  minimum_minions: Generated<number>;
  maximum_minions: Generated<number>;
  /** Seconds. */
  minion_max_idle_time: Generated<number>;
  minion_retention_strategy: Generated<'delete' | 'poweroff'>;
  maintenance_trust_id: Nullable<string>;
  /** Under way; `upkeep` is a refresh that nobody asked for, and shows in no status. */
  operation: Nullable<MinionPoolOperation>;
  /** Raised by each operation; an earlier one is refused from then on. */
  operation_no: Generated<number>;
  /** Raised by each walk of an operation that begins; an earlier one stands back. */
  walk_no: Generated<number>;
  /** When the machines are looked at next without being asked to; null: not before it is allocated. */
  upkeep_at: Nullable<Date>;
}

export type MinionPoolOperation = 'allocate' | 'refresh' | 'deallocate' | 'upkeep';

export interface MinionMachineTable extends CommonColumns {
  id: string;
  pool_id: string;
  project_id: string;
  user_id: string;
  allocation_status: Generated<MinionMachineStatus>;
  power_status: Generated<MinionPowerStatus>;
  /** Id of the transfer or deployment that uses it. */
  allocated_action: Nullable<string>;
  last_used_at: Nullable<Date>;
  /** Without secrets. */
  connection_info: JsonNullable<JsonObject>;
  backup_writer_connection_info: JsonNullable<JsonObject>;
  /** All of both, sealed. */
  connection_secret: Nullable<Buffer>;
  provider_properties: JsonNullable<JsonObject>;
  /** The lease: which execution holds it, for which instance and as what; all null when nobody does. */
  execution_id: Nullable<string>;
  instance: Nullable<string>;
  role: Nullable<MinionRole>;
  /** Raised by each lease. */
  lease_no: Generated<number>;
}

export interface MinionPoolEventTable extends CommonColumns {
  id: string;
  pool_id: string;
  /** Place in the pool's history, unique. */
  index: number;
  level: EventLevel;
  message: string;
}

export interface MinionPoolProgressTable extends CommonColumns {
  id: string;
  pool_id: string;
  index: number;
  current_step: Generated<number>;
  total_steps: Nullable<number>;
  message: string;
}

export interface AuditRecordTable {
  /** 1 and up, without a gap. */
  number: number;
  at: Date;
  request_id: string;
  user_id: Nullable<string>;
  user_name: Nullable<string>;
  project_id: Nullable<string>;
  address: string;
  /** Label of the policy that was asked, or the route. */
  action: string;
  /** Path of the request. */
  object: string;
  status: number;
  /** Hash of the record before, 64 zeroes for the first. */
  previous: string;
  /** SHA-256 over the canonical JSON of all other columns. */
  hash: string;
}

export interface WebhookTable extends CommonColumns {
  id: string;
  project_id: string;
  user_id: string;
  name: string;
  url: string;
  /** Types of events, or their first words; empty: see `wantsEvent`. */
  events: JsonDefault<string[]>;
  /** Empty: all; see `wantsEvent`. */
  statuses: JsonDefault<string[]>;
  enabled: Generated<boolean>;
  /** Sealed. */
  signing_secret: Buffer;
}

export interface WebhookDeliveryTable extends CommonColumns {
  id: string;
  webhook_id: string;
  event_id: number;
  body: JsonColumn<JsonObject>;
  state: Generated<'waiting' | 'delivered' | 'failed'>;
  attempts: Generated<number>;
  next_at: Generated<Date>;
  last_status: Nullable<number>;
  last_error: Nullable<string>;
}

/** The tables of this file, by name. */
export interface TallyTable {
  id: Generated<number>;
  name: string;
  amount: number;
}

export interface ControlTables {
  tally: TallyTable;
  schedule: ScheduleTable;
  schedule_tick: ScheduleTickTable;
  minion_pool: MinionPoolTable;
  minion_machine: MinionMachineTable;
  minion_pool_event: MinionPoolEventTable;
  minion_pool_progress: MinionPoolProgressTable;
  audit_record: AuditRecordTable;
  webhook: WebhookTable;
  webhook_delivery: WebhookDeliveryTable;
}

export type Schedule = Selectable<ScheduleTable>;
export type ScheduleTick = Selectable<ScheduleTickTable>;
export type MinionPool = Selectable<MinionPoolTable>;
export type MinionMachine = Selectable<MinionMachineTable>;
export type MinionPoolEvent = Selectable<MinionPoolEventTable>;
export type MinionPoolProgress = Selectable<MinionPoolProgressTable>;
export type AuditRecord = Selectable<AuditRecordTable>;
export type Webhook = Selectable<WebhookTable>;
export type WebhookDelivery = Selectable<WebhookDeliveryTable>;
