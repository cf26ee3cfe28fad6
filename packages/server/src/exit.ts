import { GodwitError } from '@godwit/domain';
import { databaseError } from '@godwit/store';
import { EXIT_USAGE } from './kept-process.ts';

const USAGE: ReadonlySet<string> = new Set(['CONFIG_INVALID', 'LISTEN_IN_USE', 'HOME_IN_USE']);

/** The error of a process that cannot go on, as an operator reads it, and the code to exit with: 2 wrong usage, 1 failed. */
export function explainExit(thrown: unknown): { text: string; code: number } {
  const error = databaseError(thrown);
  if (error instanceof GodwitError) return { text: error.explain(), code: USAGE.has(error.code) ? EXIT_USAGE : 1 };
  return { text: error instanceof Error ? (error.stack ?? error.message) : String(error), code: 1 };
}
