import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Heart } from '../src/heart.ts';

const log = pino({ level: 'silent' });

test('beats on while what follows a heartbeat stands still, and does that one at a time', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let beats = 0;
  let begun = 0;
  let ended = 0;
  const heart = new Heart({
    log,
    everyMs: 1,
    beat: async () => {
      beats += 1;
    },
    follow: async () => {
      begun += 1;
      await released;
      ended += 1;
    },
  });
  heart.start();
  await expect.poll(() => beats).toBeGreaterThan(20);
  expect([begun, ended]).toEqual([1, 0]);
  release();
  await expect.poll(() => ended).toBeGreaterThan(1);
  expect(heart.alive()).toBe(true);
  heart.stop(new Error('the test is over'));
});

test('does again what follows a heartbeat when it failed', async () => {
  let begun = 0;
  const heart = new Heart({
    log,
    everyMs: 1,
    beat: () => Promise.resolve(),
    follow: () => {
      begun += 1;
      return Promise.reject(new Error('no'));
    },
  });
  heart.start();
  await expect.poll(() => begun).toBeGreaterThan(2);
  expect(heart.alive()).toBe(true);
  heart.stop(new Error('the test is over'));
});

test('counts itself out for good when no heartbeat can be written', async () => {
  const heart = new Heart({ log, everyMs: 1, limitMs: 50, beat: () => Promise.reject(new Error('no')) });
  heart.start();
  await expect.poll(() => heart.signal.aborted).toBe(true);
  expect(heart.alive()).toBe(false);
  expect(() => heart.check()).toThrow(/silent too long/);
});
