import stringWidth from 'string-width';
import { formatBytes, formatDuration, formatRate } from './quantity.ts';
import { visibleLine } from './visible.ts';

/**
 * The progress of copies as data and as lines. Pure: every time is passed in, in milliseconds, from one clock.
 * Only finished bytes count: a byte that is in flight, or that a retry will send again, is not progress.
 */

/** What the API says about one disk at one moment. */
export interface DiskReading {
  instance: string;
  disk: string;
  /** Bytes that this pass has to look at or move. May grow when a pass starts again over everything. */
  totalBytes: number;
  /** Of them, bytes that are done with: sent, compared equal, or known zero. */
  finishedBytes: number;
  /** Bytes sent over the wire so far. */
  sentBytes: number;
  /** `copy`, `verify`, `done`: free words of the engine. */
  phase: string;
}

interface Sample {
  at: number;
  finished: number;
}

interface Track {
  reading: DiskReading;
  samples: readonly Sample[];
}

/** All disks seen so far, in the order in which they appeared. */
export interface ProgressState {
  readonly tracks: ReadonlyMap<string, Track>;
}

/** How fast a disk goes and when it will be there. */
export interface Forecast {
  /** Bytes per second over the window. */
  rate: number;
  /** Seconds; Infinity when nothing moves. */
  secondsLeft: number;
  /** Half of the difference that the two halves of the window make to `secondsLeft`: how far to trust it. */
  plusMinusSeconds: number;
}

/** Readings older than this do not count for the rate: long enough to be calm, short enough to follow the link. */
const WINDOW_MS = 20_000;
/** Two readings nearer than this are one, else noise of delivery looks like speed. */
const SPACING_MS = 200;

export const noProgress: ProgressState = { tracks: new Map() };

/**
 * The state after one more reading.
 *
 * @param at when it was taken, milliseconds
 */
export function observe(state: ProgressState, reading: DiskReading, at: number): ProgressState {
  const key = `${reading.instance}\n${reading.disk}`;
  const before = state.tracks.get(key);
  const tracks = new Map(state.tracks);
  tracks.set(key, { reading, samples: nextSamples(before, reading, at) });
  return { tracks };
}

function nextSamples(before: Track | undefined, reading: DiskReading, at: number): readonly Sample[] {
  const sample: Sample = { at, finished: reading.finishedBytes };
  const changedPass =
    before !== undefined &&
    (before.reading.phase !== reading.phase || reading.finishedBytes < before.reading.finishedBytes);
  if (before === undefined || changedPass) return [sample];
  const kept = before.samples.filter((old) => at - old.at <= WINDOW_MS);
  const previous = kept.at(-2);
  if (previous !== undefined && (kept.at(-1)?.at ?? at) - previous.at < SPACING_MS) kept.pop();
  return [...kept, sample];
}

/**
 * Rate and time left of one disk.
 *
 * @returns undefined until two readings are far enough apart
 */
export function forecast(samples: readonly Sample[], remaining: number): Forecast | undefined {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.at - first.at < SPACING_MS) return undefined;
  const rate = between(first, last);
  if (rate <= 0) return { rate: 0, secondsLeft: remaining > 0 ? Infinity : 0, plusMinusSeconds: 0 };
  const secondsLeft = remaining / rate;
  const middleAt = (first.at + last.at) / 2;
  const middle = samples.reduce((best, sample) =>
    Math.abs(sample.at - middleAt) < Math.abs(best.at - middleAt) ? sample : best,
  );
  if (middle === first || middle === last) return { rate, secondsLeft, plusMinusSeconds: secondsLeft };
  const halves = [between(first, middle), between(middle, last)].map((half) =>
    half > 0 ? remaining / half : secondsLeft * 2,
  );
  return { rate, secondsLeft, plusMinusSeconds: Math.abs((halves[0] ?? 0) - (halves[1] ?? 0)) / 2 };
}

function between(a: Sample, b: Sample): number {
  return b.at > a.at ? ((b.finished - a.finished) * 1000) / (b.at - a.at) : 0;
}

/**
 * One line per disk, for a terminal that rewrites them.
 *
 * @param width columns of the terminal; lines are cut to fit
 * @param height lines to spend at most; what does not fit is summed up in the last one
 * @param ended nothing moves any more
 */
export function progressLines(state: ProgressState, width: number, height: number, ended = false): string[] {
  const tracks = [...state.tracks.values()];
  const shown = tracks.length <= height ? tracks : tracks.slice(0, Math.max(0, height - 1));
  const names = Math.max(0, ...shown.map((track) => stringWidth(nameOf(track))));
  const lines = shown.map((track) => cut(terminalLine(track, names, width, ended), width));
  if (shown.length < tracks.length) lines.push(cut(restLine(tracks.slice(shown.length)), width));
  return lines;
}

/**
 * One line per disk, for a log: no padding, nothing rewritten.
 *
 * @param ended nothing moves any more: no rate, no time left
 */
export function plainProgress(state: ProgressState, ended = false): string[] {
  return [...state.tracks.values()].map((track) => `${nameOf(track)}: ${figures(track, ended)}`);
}

/** Percent of finished bytes, rounded down: 100 means all of them. */
export function percentOf(reading: DiskReading): number {
  if (reading.totalBytes <= 0) return 100;
  return Math.min(100, Math.floor((reading.finishedBytes * 100) / reading.totalBytes));
}

function nameOf(track: Track): string {
  return visibleLine(`${track.reading.instance} ${track.reading.disk}`);
}

function terminalLine(track: Track, names: number, width: number, ended: boolean): string {
  const name = nameOf(track);
  const padded = name + ' '.repeat(names - stringWidth(name));
  const bar = width >= names + 75 ? ` [${barOf(percentOf(track.reading), 20)}]` : '';
  return `${padded}${bar} ${figures(track, ended)}`;
}

function barOf(percent: number, cells: number): string {
  const full = Math.floor((percent * cells) / 100);
  return '#'.repeat(full) + '-'.repeat(cells - full);
}

function figures({ reading, samples }: Track, ended: boolean): string {
  const percent = `${String(percentOf(reading)).padStart(3)}%`;
  const of = `${formatBytes(reading.finishedBytes)} of ${formatBytes(reading.totalBytes)}`;
  const sent = `${formatBytes(reading.sentBytes)} sent`;
  const parts = [`${percent} ${of}`, sent];
  if (ended) return parts.join(', ');
  const remaining = Math.max(0, reading.totalBytes - reading.finishedBytes);
  if (remaining === 0) return [...parts, reading.phase].join(', ');
  const ahead = forecast(samples, remaining);
  if (ahead === undefined) return [...parts, reading.phase].join(', ');
  parts.push(formatRate(ahead.rate));
  parts.push(Number.isFinite(ahead.secondsLeft) ? timeLeft(ahead) : 'stalled');
  if (reading.phase !== 'copy') parts.push(reading.phase);
  return parts.join(', ');
}

function timeLeft(ahead: Forecast): string {
  const error = ahead.plusMinusSeconds >= 1 ? ` ±${formatDuration(ahead.plusMinusSeconds)}` : '';
  return `${formatDuration(ahead.secondsLeft)} left${error}`;
}

function restLine(tracks: readonly Track[]): string {
  const finished = tracks.reduce((sum, track) => sum + track.reading.finishedBytes, 0);
  const total = tracks.reduce((sum, track) => sum + track.reading.totalBytes, 0);
  return `and ${tracks.length} more disks: ${formatBytes(finished)} of ${formatBytes(total)}`;
}

function cut(line: string, width: number): string {
  if (stringWidth(line) <= width) return line;
  let text = line;
  while (text !== '' && stringWidth(text) > width - 1) text = text.slice(0, -1);
  return width > 0 ? `${text}…` : '';
}
