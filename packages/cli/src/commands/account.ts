import { type ApiObject, type IdentityApi, listOf, textAt } from '../api.ts';
import type { Row } from '../cell.ts';
import { isId } from '../lookup.ts';
import { CommandFailure } from '../usage-error.ts';

/** The id of a user or a project of the identity service, given by id or name. */
export async function accountId(api: IdentityApi, noun: 'user' | 'project', idOrName: string): Promise<string> {
  if (isId(idOrName)) return idOrName;
  const answer = await api.identity('GET', `/${noun}s?name=${encodeURIComponent(idOrName)}`);
  const found = listOf(answer, `${noun}s`).find((one: ApiObject) => one.name === idOrName);
  if (found !== undefined) return textAt(found, 'id');
  throw new CommandFailure(`There is no ${noun} "${idOrName}".`, `See "godwit ${noun} list".`);
}

export const ACCOUNT_COLUMNS = ['ID', 'Name', 'Enabled'];

/** A user or a project in a list. */
export function accountRow(one: ApiObject): Row {
  return { ID: one.id ?? null, Name: one.name ?? null, Enabled: one.enabled ?? null };
}
