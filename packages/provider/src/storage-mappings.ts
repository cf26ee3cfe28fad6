import type { StorageMappings } from './provider.ts';

/** Where the mappings send a disk: by its id, else by its source's backend, else the default; undefined: they do not say. */
export function mappedStorage(
  disk: { id: string; storage_backend_identifier?: string | null },
  mappings: StorageMappings,
): string | undefined {
  return (
    mappings.disk_mappings?.find(({ disk_id }) => disk_id === disk.id)?.destination ??
    mappings.backend_mappings?.find(({ source }) => source === disk.storage_backend_identifier)?.destination ??
    mappings.default ??
    undefined
  );
}

/** Every storage of the destination that the mappings name, whether a disk goes there or not; once each. */
export function storagesNamed(mappings: StorageMappings): string[] {
  const named = [
    ...(mappings.default ? [mappings.default] : []),
    ...(mappings.backend_mappings ?? []).map(({ destination }) => destination),
    ...(mappings.disk_mappings ?? []).map(({ destination }) => destination),
  ];
  return [...new Set(named)];
}
