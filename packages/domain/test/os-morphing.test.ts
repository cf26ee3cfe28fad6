import { expect, test } from 'vitest';
import { leftUndoneInside, type MorphingWishes } from '../src/index.ts';

const script = { phase: 'osmorphing_post_os_mount', payload: 'true' };

function wishes(more: Partial<MorphingWishes> = {}): MorphingWishes {
  return {
    skip_os_morphing: false,
    user_scripts: {
      global: { linux: [script], windows: [script, script] },
      instances: { web: [script, script] },
    },
    instance_osmorphing_minion_pool_mappings: {},
    ...more,
  };
}

test('scripts of an instance and of its operating system are told as not run', () => {
  expect(leftUndoneInside(wishes(), 'web', 'linux')).toEqual([
    '3 user scripts were kept and not run: OS morphing is not part of this version',
  ]);
  expect(leftUndoneInside(wishes(), 'other', 'linux')).toEqual([
    '1 user script was kept and not run: OS morphing is not part of this version',
  ]);
});

test('scripts for another operating system are not told, for one that is not known all are', () => {
  expect(leftUndoneInside(wishes(), 'other', 'bsd')).toEqual([]);
  expect(leftUndoneInside(wishes(), 'other', 'unknown')[0]).toMatch(/^3 user scripts /);
});

test('a machine lent for OS morphing is told as left idle', () => {
  const mapped = wishes({ user_scripts: {}, instance_osmorphing_minion_pool_mappings: { web: 'p-1' } });
  expect(leftUndoneInside(mapped, 'web', 'linux')).toEqual([
    'Nothing is done on the machine of OS morphing pool p-1: OS morphing is not part of this version',
  ]);
  expect(leftUndoneInside(mapped, 'other', 'linux')).toEqual([]);
});

test('nothing is told where OS morphing is skipped', () => {
  const skipped = wishes({ skip_os_morphing: true, instance_osmorphing_minion_pool_mappings: { web: 'p-1' } });
  expect(leftUndoneInside(skipped, 'web', 'linux')).toEqual([]);
});
