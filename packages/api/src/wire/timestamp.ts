const DAY = 86_400;
const TWO_DIGITS = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'));
/** Moments of an answer are mostly of one day: its number since 1970, and how it is written. */
let lastDay = { number: Number.NaN, text: '' };

/**
 * A moment as the contract writes it: naive UTC, six fraction digits, always zero below the second. A page has a hundred of
 * them, and `toISOString` takes ten times as long.
 */
export function timestamp(at: Date): string {
  const seconds = Math.floor(at.getTime() / 1_000);
  const number = Math.floor(seconds / DAY);
  if (number !== lastDay.number) lastDay = { number, text: at.toISOString().slice(0, -13) };
  const second = seconds - number * DAY;
  const hour = TWO_DIGITS[Math.floor(second / 3_600)];
  const minute = TWO_DIGITS[Math.floor(second / 60) % 60];
  return `${lastDay.text}${hour}:${minute}:${TWO_DIGITS[second % 60]}.000000`;
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
