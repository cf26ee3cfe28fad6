/** A moment as the contract writes it: naive UTC, six fraction digits, always zero below the second. */
export function timestamp(at: Date): string {
  return `${at.toISOString().slice(0, 19)}.000000`;
}

export function timestampOrNull(at: Date | null): string | null {
  return at === null ? null : timestamp(at);
}

interface CommonRow {
  id: string;
  created_at: Date;
  updated_at: Date | null;
  deleted_at: Date | null;
}

/** The keys that every object of the contract carries. `deleted` is the string "0", or the id once deleted. */
export function commonKeys(row: CommonRow) {
  return {
    created_at: timestamp(row.created_at),
    updated_at: timestampOrNull(row.updated_at),
    deleted_at: timestampOrNull(row.deleted_at),
    deleted: row.deleted_at === null ? '0' : row.id,
  };
}
