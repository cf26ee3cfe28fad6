import type { Migration } from 'kysely/migration';
import * as spine from './0001-spine.ts';
import * as controlPlane from './0002-control-plane.ts';

/** Every migration in order. A released one is never edited; a list, so that it works from a bundle too. */
export const migrations: Record<string, Migration> = {
  '0001-spine': spine,
  '0002-control-plane': controlPlane,
};
