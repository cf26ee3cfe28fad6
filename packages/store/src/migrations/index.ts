import type { Migration } from 'kysely/migration';
import * as spine from './0001-spine.ts';
import * as controlPlane from './0002-control-plane.ts';
import * as fences from './0003-fences.ts';
import * as eventOrigin from './0004-event-origin.ts';
import * as minionLeases from './0005-minion-leases.ts';
import * as tallies from './0006-tallies.ts';
import * as webhookStatuses from './0007-webhook-statuses.ts';

/** Every migration in order. A released one is never edited; a list, so that it works from a bundle too. */
export const migrations: Record<string, Migration> = {
  '0001-spine': spine,
  '0002-control-plane': controlPlane,
  '0003-fences': fences,
  '0004-event-origin': eventOrigin,
  '0005-minion-leases': minionLeases,
  '0006-tallies': tallies,
  '0007-webhook-statuses': webhookStatuses,
};
