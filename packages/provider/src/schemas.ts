import type {
  InstanceDisk,
  InstanceInfo,
  InstanceNic,
  InstanceSummary,
  Json,
  Network,
  StorageBackend,
} from '@godwit/domain';
import { type Static, type TSchema, Type } from 'typebox';
import type { OptionValues } from './provider.ts';

/**
 * JSON Schemas of what providers return, in the field names of the wire: the API answers with them, OpenAPI documents
 * them and the conformance suite checks providers against them. Extra fields are allowed: a platform may tell more.
 */

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const osType = Type.Enum(['linux', 'windows', 'bsd', 'osx', 'solaris', 'other', 'unknown']);
const firmwareType = Type.Enum(['BIOS', 'EFI']);

const summaryFields = {
  id: Type.String({ minLength: 1, description: 'Stable identifier at the platform' }),
  name: Type.String({ minLength: 1 }),
  num_cpu: Type.Integer({ minimum: 1 }),
  memory_mb: Type.Integer({ minimum: 1 }),
  os_type: osType,
  flavor_name: Type.Optional(nullable(Type.String())),
};

/** One line of an instance list. */
export const InstanceSummarySchema = Type.Object({
  ...summaryFields,
  firmware_type: Type.Optional(firmwareType),
});

export const InstanceDiskSchema = Type.Object({
  id: Type.String({ minLength: 1, description: 'Stable within the instance' }),
  size_bytes: Type.Integer({ minimum: 0 }),
  format: Type.String({ minLength: 1 }),
  path: Type.Optional(nullable(Type.String())),
  unit_number: Type.Optional(nullable(Type.Integer())),
  controller_id: Type.Optional(nullable(Type.String())),
  storage_backend_identifier: Type.Optional(nullable(Type.String())),
  allocation_type: Type.Optional(Type.Enum(['static', 'dynamic'])),
  bus: Type.Optional(nullable(Type.String())),
  shareable: Type.Optional(Type.Boolean()),
});

export const InstanceNicSchema = Type.Object({
  id: Type.String({ minLength: 1 }),
  name: Type.Optional(nullable(Type.String())),
  network_id: Type.Optional(nullable(Type.String())),
  network_name: Type.String(),
  mac_address: nullable(Type.String()),
  ip_addresses: Type.Optional(Type.Array(Type.String())),
  model: Type.Optional(nullable(Type.String())),
});

const devices = Type.Array(Type.Object({}));

/** Everything a target needs to make the instance anew. */
export const InstanceInfoSchema = Type.Object({
  ...summaryFields,
  firmware_type: firmwareType,
  running: Type.Boolean(),
  secure_boot: Type.Boolean(),
  nested_virtualization: Type.Boolean(),
  dynamic_memory_enabled: Type.Boolean(),
  hostname: nullable(Type.String()),
  machine_type: Type.Optional(nullable(Type.String())),
  boot_order: Type.Array(Type.String(), { description: 'Disk and NIC ids in boot order' }),
  devices: Type.Object({
    disks: Type.Array(InstanceDiskSchema),
    nics: Type.Array(InstanceNicSchema),
    cdroms: devices,
    serial_ports: devices,
    floppies: devices,
    controllers: devices,
  }),
  artefacts: Type.Optional(Type.Record(Type.String(), Type.String())),
});

export const NetworkSchema = Type.Object({
  id: Type.String({ minLength: 1 }),
  name: Type.String({ minLength: 1 }),
});

export const StorageBackendSchema = Type.Object({
  id: Type.String({ minLength: 1 }),
  name: Type.String({ minLength: 1 }),
  available_bytes: Type.Optional(Type.Integer({ minimum: 0 })),
  additional_provider_properties: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});

const optionValue = Type.Union([Type.String(), Type.Object({ id: Type.String(), name: Type.String() })]);

export const OptionValuesSchema = Type.Object({
  name: Type.String({ minLength: 1 }),
  values: Type.Array(optionValue),
  config_default: Type.Optional(nullable(optionValue)),
});

// The schemas and the types of the domain say the same; a difference in either direction does not compile.
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
const agree: [
  Same<Static<typeof InstanceSummarySchema>, InstanceSummary>,
  Same<Static<typeof InstanceDiskSchema>, InstanceDisk>,
  Same<Static<typeof InstanceNicSchema>, InstanceNic>,
  Same<Static<typeof InstanceInfoSchema>, InstanceInfo>,
  Same<Static<typeof NetworkSchema>, Network>,
  Same<Static<typeof StorageBackendSchema>, StorageBackend>,
  Same<Static<typeof OptionValuesSchema>, OptionValues>,
] = [true, true, true, true, true, true, true];
void agree;

/** A choice among fixed words, drawn as a list by forms. */
export function choice<const T extends string>(
  words: readonly T[],
  options: { title: string; description: string; default: T },
) {
  return Type.Unsafe<T>({ type: 'string', enum: [...words], ...options });
}

/** Names of the secret top-level fields of a connection schema: those marked `writeOnly: true`. */
export function secretFields(schema: TSchema): string[] {
  const properties = Reflect.get(schema, 'properties');
  if (typeof properties !== 'object' || properties === null) return [];
  return Object.entries(properties)
    .filter(([, field]) => typeof field === 'object' && field !== null && Reflect.get(field, 'writeOnly') === true)
    .map(([name]) => name);
}

/**
 * Splits a connection info in what may be shown and what may not.
 *
 * @returns `open`: without the secret fields; `secret`: only those
 */
export function splitSecrets(
  schema: TSchema,
  connectionInfo: Readonly<Record<string, Json>>,
): { open: Record<string, Json>; secret: Record<string, Json> } {
  const names = new Set(secretFields(schema));
  const open: Record<string, Json> = {};
  const secret: Record<string, Json> = {};
  for (const [name, value] of Object.entries(connectionInfo)) (names.has(name) ? secret : open)[name] = value;
  return { open, secret };
}
