import { type TSchema, Type } from 'typebox';

/** Path parameters, all strings. */
export function Params<const N extends string>(...names: N[]) {
  return Type.Unsafe<Record<N, string>>(
    Type.Object(Object.fromEntries(names.map((name) => [name, Type.String()])) as Record<string, TSchema>),
  );
}

/** Optional query parameters: text, the last one counting when repeated. Names to descriptions. */
export function Query<const Q extends Record<string, string>>(parameters: Q) {
  return Type.Unsafe<Partial<Record<keyof Q & string, string | string[]>>>(
    Type.Object(
      Object.fromEntries(
        Object.entries(parameters).map(([name, description]) => [name, Type.Optional(Type.String({ description }))]),
      ) as Record<string, TSchema>,
    ),
  );
}

export const ENVIRONMENT = 'URL-safe base64 of a JSON object: the source or destination environment';
export const OPTION_NAMES = 'URL-safe base64 of a JSON array: names of the wanted options';

/** An answer without a body. */
export const NoContent = Type.Null({ description: 'Done; no body' });
