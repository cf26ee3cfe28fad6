import { expect, test } from 'vitest';
import { judgeTicks, type ScheduleTimes, scheduleProblem, ticksBetween } from '../src/schedule.ts';

const at = (text: string): Date => new Date(`${text}Z`);
const ticks = (times: ScheduleTimes, after: string, until: string) =>
  ticksBetween(times, at(after), at(until)).map((tick) => tick.toISOString().slice(0, 16));

test('a schedule is due in every minute that all its fields fit', () => {
  expect(ticks({ minute: 30 }, '2026-11-21T08:00', '2026-11-21T10:30')).toEqual([
    '2026-11-21T08:30',
    '2026-11-21T09:30',
    '2026-11-21T10:30',
  ]);
  // 2026-11-23 is a Monday, which is 0.
  expect(ticks({ minute: 0, hour: 3, dow: 0 }, '2026-11-20T00:00', '2026-12-01T00:00')).toEqual([
    '2026-11-23T03:00',
    '2026-11-30T03:00',
  ]);
  expect(ticks({ minute: 0, hour: 0, dom: 31 }, '2026-08-01T00:00', '2026-12-31T00:00')).toEqual([
    '2026-08-31T00:00',
    '2026-10-31T00:00',
    '2026-12-31T00:00',
  ]);
  expect(ticks({ hour: 5, month: 12 }, '2026-11-30T23:59', '2026-12-01T05:01')).toEqual([
    '2026-12-01T05:00',
    '2026-12-01T05:01',
  ]);
});

test('a tick belongs to the interval that ends with it, so that no judging takes it twice', () => {
  expect(ticks({ minute: 30 }, '2026-11-21T08:30', '2026-11-21T08:59')).toEqual([]);
  expect(ticks({ minute: 30 }, '2026-11-21T08:29:59', '2026-11-21T08:30')).toEqual(['2026-11-21T08:30']);
});

test('cron has lists, ranges and steps, and Sunday is 0 and 7', () => {
  expect(ticks({ cron: '*/20 8-9 * * *' }, '2026-11-21T08:00', '2026-11-21T23:00')).toEqual([
    '2026-11-21T08:20',
    '2026-11-21T08:40',
    '2026-11-21T09:00',
    '2026-11-21T09:20',
    '2026-11-21T09:40',
  ]);
  for (const sunday of ['0', '7', 'SUN']) {
    expect(ticks({ cron: `0 12 * * ${sunday}` }, '2026-11-20T00:00', '2026-11-27T00:00')).toEqual(['2026-11-22T12:00']);
  }
});

test('cron is read in its time zone, through the changes of its clock', () => {
  const berlin = { cron: '30 2 * * *', timezone: 'Europe/Berlin' };
  expect(ticks(berlin, '2026-07-01T00:00', '2026-07-02T00:00')).toEqual(['2026-07-01T00:30']);
  expect(ticks(berlin, '2026-12-01T00:00', '2026-12-02T00:00')).toEqual(['2026-12-01T01:30']);
  // 02:30 comes twice on the night the clock is set back, and never on the night it is set forward; it is due once in each.
  expect(ticks(berlin, '2026-10-24T12:00', '2026-10-25T12:00')).toHaveLength(1);
  expect(ticks(berlin, '2026-03-28T12:00', '2026-03-29T12:00')).toHaveLength(1);
});

test('what can never be kept is told', () => {
  expect(scheduleProblem({})).toContain('names no minute');
  expect(scheduleProblem({ minute: 0 })).toBeNull();
  expect(scheduleProblem({ cron: '0 3 * * 1-5' })).toBeNull();
  expect(scheduleProblem({ cron: '61 * * * *' })).not.toBeNull();
  expect(scheduleProblem({ cron: '* * * * * *' })).not.toBeNull();
  expect(scheduleProblem({ cron: 'every day' })).toMatch(/^cron has five fields: minute, hour, /);
  expect(scheduleProblem({ cron: '0 0 3 * * *' })).toMatch(/^cron has five fields: /);
  expect(scheduleProblem({ cron: '@daily' })).toBeNull();
  expect(scheduleProblem({ cron: '0 0 30 2 *' })).toContain('no moment');
  expect(scheduleProblem({ cron: '0 0 * * *', timezone: 'Moon/Crater' })).not.toBeNull();
});

test('after an absence only the newest tick is made up for, and only within an hour', () => {
  const every = { minute: 0 };
  const judged = at('2026-11-21T04:30');
  const found = judgeTicks(every, judged, at('2026-11-21T08:10'), null);
  expect(found.fire).toEqual(at('2026-11-21T08:00'));
  expect(found.missed).toEqual(['05', '06', '07'].map((hour) => at(`2026-11-21T${hour}:00`)));
  const daily = judgeTicks({ minute: 0, hour: 5 }, judged, at('2026-11-21T08:10'), null);
  expect(daily).toEqual({ fire: null, missed: [at('2026-11-21T05:00')] });
});

test('nothing is due at or after the expiry, nor of times that cannot be kept', () => {
  const expiry = at('2026-11-21T08:00');
  expect(judgeTicks({ minute: 0 }, at('2026-11-21T07:30'), at('2026-11-21T08:00:05'), expiry).fire).toBeNull();
  expect(judgeTicks({ minute: 59 }, at('2026-11-21T07:30'), at('2026-11-21T08:00:05'), expiry).fire).toEqual(
    at('2026-11-21T07:59'),
  );
  expect(judgeTicks({}, at('2026-11-21T07:30'), at('2026-11-21T08:00'), null)).toEqual({ fire: null, missed: [] });
});

test('an absence of months is judged at once', () => {
  const found = judgeTicks({ hour: 5 }, at('2020-01-01T00:00'), at('2026-11-21T08:10'), null);
  expect(found.missed).toHaveLength(60);
});
