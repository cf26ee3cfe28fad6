import { buildCommand, buildRouteMap, type Command, type RouteMap } from '@stricli/core';
import type { CliContext } from './context.ts';

/** What `godwit NOUN` can be. Only the module of the noun that was named is loaded. */
interface Noun {
  brief: string;
  /** Absent: a program of its own, which bin/godwit.js starts before this module is reached. */
  load?: () => Promise<{ routes: RouteMap<CliContext> }>;
}

const NOUNS: Readonly<Record<string, Noun>> = {
  provider: { brief: 'Kinds of platform that Godwit speaks to', load: () => import('./commands/provider.ts') },
  endpoint: { brief: 'Connected clouds and hypervisors', load: () => import('./commands/endpoint.ts') },
  transfer: { brief: 'What moves, from where to where', load: () => import('./commands/transfer.ts') },
  deployment: { brief: 'Transferred disks turned into instances', load: () => import('./commands/deployment.ts') },
  region: { brief: 'Places that only some workers reach', load: () => import('./commands/region.ts') },
  service: { brief: 'Registered workers', load: () => import('./commands/service.ts') },
  minion: { brief: 'Temporary helper machines', load: () => import('./commands/minion.ts') },
  resource: { brief: 'The inventory of all endpoints', load: () => import('./commands/resource.ts') },
  receipt: { brief: 'Proofs that every byte arrived', load: () => import('./commands/receipt.ts') },
  ledger: { brief: 'All that Godwit made on any platform', load: () => import('./commands/ledger.ts') },
  event: { brief: 'What happens, as it happens', load: () => import('./commands/event.ts') },
  log: { brief: 'What the processes of Godwit log', load: () => import('./commands/log.ts') },
  webhook: { brief: 'Who outside is told of events', load: () => import('./commands/webhook.ts') },
  user: { brief: 'Who may sign in', load: () => import('./commands/user.ts') },
  project: { brief: 'Whose things are whose', load: () => import('./commands/project.ts') },
  role: { brief: 'What users may do in projects', load: () => import('./commands/role.ts') },
  keystone: { brief: 'Godwit beside a Keystone', load: () => import('./commands/keystone.ts') },
  diagnostics: { brief: 'Versions and hosts of this installation', load: () => import('./commands/diagnostics.ts') },
  verify: { brief: 'Check a receipt against disks, without a server' },
  server: { brief: 'Run the API, workers and database' },
  db: { brief: 'Care for the database: migrate, back up, restore, new keys' },
  complete: { brief: 'Completion in bash', load: () => import('./commands/complete.ts') },
};

/** Names of all nouns. */
export const nounNames: readonly string[] = Object.keys(NOUNS);

/**
 * The tree of commands with the module of one noun loaded; the others stand there by name only, which is all that help
 * and suggestions need.
 *
 * @param wanted the noun on the command line, if any
 */
export async function loadRoutes(wanted: string | undefined): Promise<RouteMap<CliContext>> {
  const routes: Record<string, RouteMap<CliContext> | Command<CliContext>> = {};
  for (const [name, noun] of Object.entries(NOUNS)) {
    routes[name] = name === wanted && noun.load !== undefined ? (await noun.load()).routes : placeholder(noun.brief);
  }
  return buildRouteMap<string, CliContext>({
    docs: {
      brief:
        'Moves workloads between clouds and hypervisors, keeps replicas of them, and proves that every byte arrived',
    },
    routes,
  });
}

/** Shown in help, never run: its noun would have been loaded, or is a program of its own. */
function placeholder(brief: string): Command<CliContext> {
  return buildCommand<Record<never, never>, [], CliContext>({
    docs: { brief, customUsage: ['VERB ...'] },
    parameters: {},
    func: () => undefined,
  });
}
