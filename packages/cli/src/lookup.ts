import { type Api, type ApiObject, listOf, textAt } from './api.ts';
import { CommandFailure, suggestion } from './usage-error.ts';

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** True when the text can only be an id. */
export function isId(text: string): boolean {
  return UUID.test(text);
}

/**
 * The id of an endpoint given by id or name. Names are looked up; an id is not checked.
 *
 * @throws CommandFailure when there is none of that name, or several
 */
export function endpointId(api: Api, idOrName: string): Promise<string> {
  return idOf(api, 'endpoint', '/endpoints', 'endpoints', idOrName);
}

/** The same for a region. */
export function regionId(api: Api, idOrName: string): Promise<string> {
  return idOf(api, 'region', '/regions', 'regions', idOrName);
}

/** The same for a webhook. */
export function webhookId(api: Api, idOrName: string): Promise<string> {
  return idOf(api, 'webhook', '/webhooks', 'webhooks', idOrName);
}

async function idOf(api: Api, noun: string, path: string, key: string, idOrName: string): Promise<string> {
  if (isId(idOrName)) return idOrName;
  const all = listOf(await api.get(path), key);
  const found = all.filter((item) => item.name === idOrName);
  const only = found[0];
  if (only !== undefined && found.length === 1) return textAt(only, 'id');
  if (found.length > 1) {
    throw new CommandFailure(
      `${found.length} ${noun}s are named "${idOrName}": ${found.map((item) => textAt(item, 'id')).join(', ')}.`,
      'Name it by its id.',
    );
  }
  throw new CommandFailure(
    `There is no ${noun} "${idOrName}".${suggestion(idOrName, all.map(nameOf))}`,
    `See "godwit ${noun} list".`,
  );
}

function nameOf(item: ApiObject): string {
  return textAt(item, 'name');
}

/** By creation, oldest first, as the lists without paging are shown. */
export function byCreation(items: readonly ApiObject[]): ApiObject[] {
  return [...items].sort((a, b) => textAt(a, 'created_at').localeCompare(textAt(b, 'created_at')));
}
