import { scheduleProblem } from '@godwit/domain';
import type { ScheduleRule } from '@godwit/store';
import { invalidInput } from './request-error.ts';
import type { ScheduleFields } from './schemas/schedule.ts';

/** What a body asks of a schedule, judged. Pure: the clock is passed in. */

const FIELDS = ['minute', 'hour', 'dom', 'month', 'dow'] as const;

/**
 * The rule to store: null means "not given", as absent does.
 *
 * @throws GodwitError INVALID_INPUT without any field, with both forms, or with a cron that never fires
 */
export function ruleOf(fields: ScheduleFields): ScheduleRule {
  const given = FIELDS.flatMap((name) => {
    const value = fields[name];
    return value === undefined || value === null ? [] : [[name, value] as const];
  });
  const cron = fields.cron ?? undefined;
  const timezone = fields.timezone ?? undefined;
  if (cron === undefined) {
    if (timezone !== undefined) throw invalidInput('schedule.timezone belongs to schedule.cron; the fields are UTC');
    if (given.length === 0) {
      throw invalidInput(
        `schedule needs at least one of ${FIELDS.join(', ')}, or cron: without any it would fire every minute`,
      );
    }
    return Object.fromEntries(given);
  }
  if (given.length > 0) throw invalidInput(`schedule has cron and ${given[0]![0]}; give one or the other`);
  refuseZone(timezone);
  const rule = { cron: cron.trim().replace(/\s+/g, ' '), ...(timezone !== undefined && { timezone }) };
  const problem = scheduleProblem(rule);
  if (problem !== null) throw invalidInput(`schedule.cron ${JSON.stringify(rule.cron)}: ${problem}`);
  return rule;
}

function refuseZone(zone: string | undefined): void {
  if (zone === undefined) return;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
  } catch (error) {
    if (error instanceof RangeError)
      throw invalidInput(`schedule.timezone ${JSON.stringify(zone)} is no IANA time zone`);
    throw error;
  }
}

const MOMENT = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s*(Z|z|[+-]\d\d:?\d\d)?$/;

/**
 * The moment of an `expiration_date`; without a zone it is UTC.
 *
 * @throws GodwitError INVALID_INPUT when it is no moment, or past
 */
export function expirationOf(text: string | null, now: Date): Date | null {
  if (text === null) return null;
  const match = MOMENT.exec(text.trim());
  const at = new Date(match === null ? Number.NaN : `${match[1]}T${match[2]}${(match[3] ?? 'Z').toUpperCase()}`);
  // The 31st of February is read as the 3rd of March.
  if (Number.isNaN(at.getTime()) || !isDay(match?.[1] ?? ''))
    throw invalidInput(`expiration_date ${JSON.stringify(text)} is not an RFC 3339 date and time`);
  if (at.getTime() < now.getTime()) throw invalidInput('expiration_date is in the past');
  return at;
}

/** @param date `YYYY-MM-DD` */
function isDay(date: string): boolean {
  return new Date(`${date}T00:00Z`).toISOString().startsWith(date);
}
