import { Cron } from 'croner';

/**
 * When a schedule fires: each field a number that must equal the tick's, absent: any; UTC, `dow` 0 is Monday. Or, instead of
 * the fields, `cron` (five fields, 0 and 7 are Sunday) as read in the time zone.
 */
export interface ScheduleTimes {
  minute?: number;
  hour?: number;
  dom?: number;
  month?: number;
  dow?: number;
  cron?: string;
  /** IANA name; only with `cron`. Default UTC. */
  timezone?: string;
}

const MINUTE_MS = 60_000;
/** A tick that was missed by more than this is not made up for. */
const MISSED_TICK_MS = 3_600_000;
/** How far back missed ticks are looked for, to be recorded. */
const LOOK_BACK_MS = 24 * 3_600_000;

/** Why the times can never be kept, for people; null when they can. */
export function scheduleProblem(times: ScheduleTimes): string | null {
  if (times.cron === undefined) {
    const given = [times.minute, times.hour, times.dom, times.month, times.dow];
    return given.every((field) => field === undefined) ? 'it names no minute, hour, day, month or weekday' : null;
  }
  // The library speaks of seconds and years, which a schedule has not.
  if (!times.cron.startsWith('@') && times.cron.trim().split(/\s+/).length !== 5) {
    return 'cron has five fields: minute, hour, day of the month, month, day of the week';
  }
  try {
    return cronOf(times.cron, times.timezone).nextRun(new Date(0)) === null ? 'its cron fits no moment' : null;
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error);
  }
}

function cronOf(pattern: string, timezone = 'UTC'): Cron {
  return new Cron(pattern, { paused: true, mode: '5-part', timezone });
}

/** The minutes after `after`, up to and with `until`, in which the schedule is due, oldest first. */
export function ticksBetween(times: ScheduleTimes, after: Date, until: Date): Date[] {
  return times.cron === undefined
    ? minutesBetween(times, after, until)
    : runsBetween(cronOf(times.cron, times.timezone), after, until);
}

function minutesBetween(times: ScheduleTimes, after: Date, until: Date): Date[] {
  const ticks: Date[] = [];
  const fits = (wanted: number | undefined, is: number): boolean => wanted === undefined || wanted === is;
  for (let at = nextMinute(after); at <= until.getTime(); at += MINUTE_MS) {
    const tick = new Date(at);
    if (
      fits(times.minute, tick.getUTCMinutes()) &&
      fits(times.hour, tick.getUTCHours()) &&
      fits(times.dom, tick.getUTCDate()) &&
      fits(times.month, tick.getUTCMonth() + 1) &&
      fits(times.dow, (tick.getUTCDay() + 6) % 7)
    ) {
      ticks.push(tick);
    }
  }
  return ticks;
}

const nextMinute = (after: Date): number => (Math.floor(after.getTime() / MINUTE_MS) + 1) * MINUTE_MS;

function runsBetween(cron: Cron, after: Date, until: Date): Date[] {
  const ticks: Date[] = [];
  for (let at = cron.nextRun(after); at !== null && at.getTime() <= until.getTime(); at = cron.nextRun(at)) {
    ticks.push(at);
  }
  return ticks;
}

/** What becomes of the ticks since a schedule was last judged. */
export interface JudgedTicks {
  /** The newest, when it is not too old: fires now. */
  fire: Date | null;
  /** Passed over, oldest first; only of the last day. */
  missed: Date[];
}

/**
 * The rule for ticks that nobody was there for: only the newest is made up for, and only within an hour. None fires at or
 * after the expiry.
 *
 * @param judged every minute up to this one was judged before
 */
export function judgeTicks(times: ScheduleTimes, judged: Date, now: Date, expiry: Date | null): JudgedTicks {
  if (scheduleProblem(times) !== null) return { fire: null, missed: [] };
  const after = new Date(Math.max(judged.getTime(), now.getTime() - LOOK_BACK_MS));
  const ticks = ticksBetween(times, after, now).filter((tick) => expiry === null || tick < expiry);
  const newest = ticks.at(-1);
  const fires = newest !== undefined && now.getTime() - newest.getTime() < MISSED_TICK_MS;
  return { fire: fires ? newest : null, missed: fires ? ticks.slice(0, -1) : ticks };
}
