import { GodwitError } from './error.ts';

/** For each status the statuses it may become. A status that leads nowhere is final. */
export type TransitionTable<S extends string> = Readonly<Record<S, readonly S[]>>;

/** True when the table allows it. Staying is not a transition. */
export function allowed<S extends string>(table: TransitionTable<S>, from: S, to: S): boolean {
  return table[from].includes(to);
}

/** `to`, or INTERNAL when the table forbids it: an illegal transition is a defect, never an operator's mistake. */
export function transition<S extends string>(table: TransitionTable<S>, object: string, from: S, to: S): S {
  if (allowed(table, from, to)) return to;
  throw new GodwitError('INTERNAL', object, { reason: `illegal transition from ${from} to ${to}`, from, to });
}

/** Statuses that may become `to`: for the guard of an update. */
export function sourcesOf<S extends string>(table: TransitionTable<S>, to: S): S[] {
  return (Object.keys(table) as S[]).filter((from) => table[from].includes(to));
}
