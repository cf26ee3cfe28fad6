import { describe, expect, test } from 'vitest';
import { tasksCell } from '../src/execution-view.ts';
import { followBegin, isFinal, takeIn } from '../src/follow-state.ts';
import { plainProgress } from '../src/progress.ts';

const task = (status: string, more: object = {}) => ({
  id: 't1',
  instance: 'web01',
  task_type: 'REPLICATE_DISKS',
  status,
  progress_updates: [],
  ...more,
});

test('an execution that is shown tells the warnings of its tasks', () => {
  const events = [
    { id: 'e1', level: 'WARNING', message: 'copied in full', created_at: '2026-11-22T01:00:00' },
    { id: 'e2', level: 'INFO', message: 'unimportant', created_at: '2026-11-22T01:00:01' },
  ];
  const shown = tasksCell([task('COMPLETED', { events })]).text;
  expect(shown).toContain('warnings:\n2026-11-22T01:00:00 copied in full');
  expect(shown).not.toContain('unimportant');
  expect(tasksCell([task('COMPLETED')]).text).not.toContain('warnings');
});

describe('following an execution', () => {
  test('tells each change of a task once and is silent about tasks whose turn has not come', () => {
    const first = takeIn(followBegin, 'RUNNING', [task('SCHEDULED')], 0);
    expect(first.lines).toEqual(['Execution RUNNING']);
    const second = takeIn(first.state, 'RUNNING', [task('RUNNING')], 1);
    expect(second.lines).toEqual(['web01: REPLICATE_DISKS RUNNING']);
    expect(takeIn(second.state, 'RUNNING', [task('RUNNING')], 2).lines).toEqual([]);
  });

  test('shows control characters that a platform wrote into a remark, a name or an error, and obeys none', () => {
    const remark = { id: 'u1', index: 1, created_at: '1', message: 'gone\x1b[1A\x1b[2K' };
    const disk = { disk_id: 'vd\ra', size: 2, done: 1, sent: 1 };
    const updates = [remark, { id: 'u2', index: 2, created_at: '2', message: '', disk }];
    const error = { code: 'PLATFORM_ERROR', message: 'no\x07pe', remedy: '' };
    const step = takeIn(followBegin, '', [task('ERROR', { progress_updates: updates, error })], 0);
    expect(step.lines).toEqual([
      'web01: gone\\x1b[1A\\x1b[2K',
      'web01: REPLICATE_DISKS ERROR',
      '  PLATFORM_ERROR: no\\x07pe',
    ]);
    expect(plainProgress(step.state.progress, true)).toEqual(['web01 vd\\x0da:  50% 1 B of 2 B, 1 B sent']);
  });

  test('tells each remark once, in the order of its index', () => {
    const remarks = [
      { id: 'u2', index: 2, created_at: '2', message: 'second' },
      { id: 'u1', index: 1, created_at: '1', message: 'first' },
    ];
    const step = takeIn(followBegin, '', [task('SCHEDULED', { progress_updates: remarks })], 0);
    expect(step.lines).toEqual(['web01: first', 'web01: second']);
    expect(takeIn(step.state, '', [task('SCHEDULED', { progress_updates: remarks })], 1).lines).toEqual([]);
  });

  test('tells once why a task waits, and leaves errors to its end', () => {
    const events = [
      { id: 'e1', level: 'WARNING', message: "Waiting for 1 machine(s) of minion pool 'helpers'" },
      { id: 'e2', level: 'ERROR', message: 'told with the end' },
    ];
    const waiting = [task('SCHEDULED', { events })];
    const step = takeIn(followBegin, 'AWAITING_MINION_ALLOCATIONS', waiting, 0);
    expect(step.lines).toEqual([
      "web01: Waiting for 1 machine(s) of minion pool 'helpers'",
      'Execution AWAITING_MINION_ALLOCATIONS',
    ]);
    expect(takeIn(step.state, 'AWAITING_MINION_ALLOCATIONS', waiting, 1).lines).toEqual([]);
  });

  test('turns counters of disks into progress, not into remarks', () => {
    const disk = { disk_id: 'vda', size: 1000, done: 500, read: 500, sent: 100, skipped: 400 };
    const update = { id: 'u1', index: 1, message: 'copying vda', disk };
    const step = takeIn(followBegin, '', [task('RUNNING', { progress_updates: [update] })], 0);
    expect(step.lines).toEqual(['web01: REPLICATE_DISKS RUNNING']);
    expect(plainProgress(step.state.progress)).toEqual(['web01 vda:  50% 500 B of 0.98 KiB, 100 B sent, copy']);
  });

  test('tells the typed error of a failed task with what to do next', () => {
    const error = { code: 'TARGET_FULL', message: 'No space left at the target of vda.', remedy: 'Free space there.' };
    const step = takeIn(followBegin, 'ERROR', [task('ERROR', { error })], 0);
    expect(step.lines).toEqual([
      'web01: REPLICATE_DISKS ERROR',
      '  TARGET_FULL: No space left at the target of vda.',
      '  Free space there.',
      'Execution ERROR',
    ]);
  });

  test('ends with the statuses that nothing follows', () => {
    expect(['COMPLETED', 'ERROR', 'CANCELED', 'DEADLOCKED'].every(isFinal)).toBe(true);
    expect(['RUNNING', 'CANCELLING', 'PENDING', 'UNEXECUTED', ''].some(isFinal)).toBe(false);
  });
});
