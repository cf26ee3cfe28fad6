import { buildCommand } from '@stricli/core';
import { type Api, type ApiObject, listOf, objectOf } from '../api.ts';
import type { Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import {
  type Argument,
  args,
  type docs,
  type ListFlags,
  listFlags,
  outputAliases,
  type ShowFlags,
  showFlags,
} from '../flags.ts';
import { byCreation } from '../lookup.ts';
import { printList, printObject } from '../print.ts';
import { accountId } from './account.ts';

/** Where the objects of a noun are, for one command. Rejects as the API does. */
interface Place {
  all(): Promise<ApiObject[]>;
  one(idOrName: string): Promise<ApiObject>;
  delete(idOrName: string): Promise<void>;
}

interface Noun {
  place(context: CliContext): Promise<Place>;
  argument: Argument;
  columns: readonly string[];
  /** Its line in the list. */
  row(object: ApiObject): Row;
  /** What `show` tells of it. */
  detail(object: ApiObject): Row;
  list: ReturnType<typeof docs>;
  show: ReturnType<typeof docs>;
  delete: ReturnType<typeof docs>;
}

/** `list`, `show` and `delete` of a noun whose lists have no pages. */
export function commandsOf(noun: Noun) {
  const positional = args(noun.argument);
  return {
    list: buildCommand<ListFlags, [], CliContext>({
      docs: noun.list,
      parameters: { flags: listFlags, aliases: outputAliases },
      async func(flags) {
        const place = await noun.place(this);
        await printList(this, flags, noun.columns, (await place.all()).map(noun.row));
      },
    }),
    show: buildCommand<ShowFlags, [string], CliContext>({
      docs: noun.show,
      parameters: { flags: showFlags, aliases: outputAliases, positional },
      async func(flags, idOrName) {
        const place = await noun.place(this);
        await printObject(this, flags, noun.detail(await place.one(idOrName)));
      },
    }),
    delete: buildCommand<Record<never, never>, [string], CliContext>({
      docs: noun.delete,
      parameters: { positional },
      async func(_flags, idOrName) {
        const place = await noun.place(this);
        await place.delete(idOrName);
      },
    }),
  };
}

/**
 * Objects of the API, oldest first.
 *
 * @param one the key of an answer with one of them; with an s that of a list, and the path
 * @param idOf the id of one that is named as operators do; absent: by its id alone
 */
export function inApi(one: string, idOf: (api: Api, idOrName: string) => Promise<string> = async (_, id) => id) {
  return async (context: CliContext): Promise<Place> => {
    const api = await context.connect();
    return {
      all: async () => byCreation(listOf(await api.get(`/${one}s`), `${one}s`)),
      one: async (idOrName) => objectOf(await api.get(`/${one}s/${await idOf(api, idOrName)}`), one),
      delete: async (idOrName) => api.delete(`/${one}s/${await idOf(api, idOrName)}`),
    };
  };
}

/** Accounts of the identity service, by name. */
export function inIdentity(one: 'user' | 'project') {
  return async (context: CliContext): Promise<Place> => {
    const api = await context.connectIdentity();
    const path = async (idOrName: string) => `/${one}s/${await accountId(api, one, idOrName)}`;
    return {
      all: async () => listOf(await api.identity('GET', `/${one}s`), `${one}s`),
      one: async (idOrName) => objectOf(await api.identity('GET', await path(idOrName)), one),
      delete: async (idOrName) => void (await api.identity('DELETE', await path(idOrName))),
    };
  };
}
