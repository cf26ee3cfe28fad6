import { buildInstallCommand, buildUninstallCommand } from '@stricli/auto-complete';
import { buildRouteMap, type RouteMap } from '@stricli/core';
import type { CliContext } from '../context.ts';

/** What bash runs for every press of the tab key; main.ts answers it, because a half-typed option is no option. */
const PROPOSE = 'godwit complete propose';

export const routes: RouteMap<CliContext> = buildRouteMap<string, CliContext>({
  docs: { brief: 'Completion in bash' },
  routes: {
    install: buildInstallCommand<CliContext>('godwit', { bash: PROPOSE }),
    uninstall: buildUninstallCommand<CliContext>('godwit', { bash: true }),
  },
});
