import type { Json, JsonObject } from '@godwit/domain';
import { hostFacts } from '@godwit/engine';
import * as store from '@godwit/store';
import type { App } from '../app.ts';
import type { ApiContext } from '../context.ts';
import { DiagnosticsAnswer } from '../schemas/diagnostics.ts';

/** Every process of the installation, as far as it has told of itself. Host names and addresses: for administrators. */
export function diagnosticsRoutes(app: App, { db, config }: ApiContext): void {
  app.get(
    '/diagnostics',
    {
      schema: {
        operationId: 'getDiagnostics',
        summary: 'Processes, their hosts and versions',
        tags: ['diagnostics'],
        response: { 200: DiagnosticsAnswer },
      },
    },
    async () => {
      const workers = (await store.listServices(db)).map((service) => diagnosticOf(service.binary, service.specs));
      return { diagnostics: [hostFacts('godwit-api', config.version), ...workers] };
    },
  );
}

/** What a worker wrote of itself, brought into the shape: a worker of another version may have left things out. */
function diagnosticOf(binary: string, specs: JsonObject) {
  const { application, hostname, ip_addresses, packages, os_info } = specs;
  return {
    application: typeof application === 'string' ? application : binary,
    hostname: typeof hostname === 'string' ? hostname : '',
    ip_addresses: textsOf(ip_addresses),
    packages: textsOf(packages),
    os_info: os_info ?? {},
  };
}

/** Texts as they are; a `{name, version}` as `name==version`. */
function textsOf(value: Json | undefined): string[] {
  if (!Array.isArray(value)) return [];
  return value.map((item) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return String(item);
    return `${String(item.name)}==${String(item.version)}`;
  });
}
