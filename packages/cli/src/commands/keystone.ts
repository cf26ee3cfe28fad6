import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, type IdentityApi, listOf, objectOf, textAt } from '../api.ts';
import type { CliContext } from '../context.ts';
import { docs, requiredText, text } from '../flags.ts';
import { UsageError } from '../usage-error.ts';

const INTERFACES = ['public', 'internal', 'admin'] as const;

const register = buildCommand<{ url: string; region?: string }, [], CliContext>({
  docs: docs(
    'Enter Godwit into the catalog of a Keystone',
    ['godwit --os-cloud admin keystone register --url https://godwit.example.org'],
    'Signs in as an administrator of the cloud. Run again, it corrects what differs and adds nothing twice.',
  ),
  parameters: {
    flags: {
      url: requiredText('Root URL of Godwit, as clients reach it', 'URL'),
      region: text('Region of the catalog; default RegionOne', 'REGION'),
    },
  },
  async func(flags) {
    const url = URL.parse(flags.url);
    if (url === null || !/^https?:$/.test(url.protocol))
      throw new UsageError('--url needs an http:// or https:// URL.');
    const root = url.href.replace(/\/+$/, '');
    const region = flags.region ?? 'RegionOne';
    // Godwit itself is what is being registered: its own place in the catalog is not asked for.
    const api = await this.connectIdentity();
    await enter(api, { type: 'migration', name: 'godwit' }, `${root}/v1/%(project_id)s`, region);
    await enter(api, { type: 'coriolis-logger', name: 'godwit-logs' }, `${root}/logs/api/v1`, region);
    this.print(`registered ${root} in ${region}\n`);
  },
});

async function enter(
  api: IdentityApi,
  service: { type: string; name: string },
  url: string,
  region: string,
): Promise<void> {
  const known = listOf(await api.identity('GET', `/services?type=${service.type}`), 'services').find(
    (one) => one.name === service.name,
  );
  const made = known ?? objectOf(await api.identity('POST', '/services', { service }), 'service');
  const id = textAt(made, 'id');
  const endpoints = listOf(await api.identity('GET', `/endpoints?service_id=${id}`), 'endpoints');
  for (const face of INTERFACES) {
    const there = endpoints.find((one) => one.interface === face && (one.region_id ?? one.region) === region);
    const endpoint: ApiObject = { service_id: id, interface: face, region_id: region, url };
    if (there === undefined) await api.identity('POST', '/endpoints', { endpoint });
    else if (there.url !== url) await api.identity('PATCH', `/endpoints/${textAt(there, 'id')}`, { endpoint: { url } });
  }
}

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Godwit beside a Keystone' },
  routes: { register },
});
