const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes for people, three digits: `512 B`, `1.50 GiB`, `20.3 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** Bytes per second for people: `152 MiB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** A span of time for people: `0:07`, `12:30`, `3:05:00`, `2d 4:00:00`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, '0');
  const days = Math.floor(whole / 86_400);
  const hours = Math.floor((whole % 86_400) / 3_600);
  const minutes = Math.floor((whole % 3_600) / 60);
  const rest = two(whole % 60);
  if (days > 0) return `${days}d ${hours}:${two(minutes)}:${rest}`;
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** Bytes per second. */
const SMALLEST_WITHOUT_UNIT = 1_000;

/**
 * Bytes per second as people write them: `500000`, `100MB/s`, `12.5 MiB`, `1Gbit/s`; `none` is no limit. A small number needs a
 * unit: who writes `10` hardly means ten bytes.
 *
 * @returns whole bytes per second; 0 for none
 * @throws Error when it is not a rate
 */
export function parseRate(text: string): number {
  if (text.toLowerCase() === 'none') return 0;
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)(b|bytes?|bits?)?(?:\/s|ps)?\s*$/i.exec(text);
  const factor = FACTORS[(match?.[2] ?? '').toLowerCase()];
  if (match === null || factor === undefined) {
    throw new Error(`"${text}" is not a rate; write 100MB/s, 12.5MiB/s, 1Gbit/s or none`);
  }
  const bits = /bits?(\/s|ps)?\s*$/i.test(text) || /bps\s*$/.test(text);
  const rate = Math.floor((Number(match[1]) * factor) / (bits ? 8 : 1));
  if (rate > 0 && rate < SMALLEST_WITHOUT_UNIT && /^[\d.\s]+$/.test(text)) {
    throw new Error(`"${text}" alone would be ${rate} bytes per second; write a unit, as in ${text}MB/s`);
  }
  if (rate < 1) throw new Error(`"${text}" is no rate to work with; write none for no limit`);
  return rate;
}
