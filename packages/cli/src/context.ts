import type { CommandContext } from '@stricli/core';
import type { Api, IdentityApi, LogsApi } from './api.ts';
import type { GlobalOptions } from './global-options.ts';

/** What a command may touch. Everything outside the program comes through here. */
export interface CliContext extends CommandContext {
  readonly process: Pick<NodeJS.Process, 'stdout' | 'stderr' | 'env'>;
  readonly globals: GlobalOptions;
  /** Signs in on first use. */
  connect(): Promise<Api>;
  /** The identity service alone: the catalog need not name the API. */
  connectIdentity(): Promise<IdentityApi>;
  /** The service that keeps the logs. */
  connectLogs(): Promise<LogsApi>;
  /** All of standard input. */
  readStdin(): Promise<string>;
  /** To standard output. */
  print(text: string): void;
  /** One line to standard error. */
  warn(line: string): void;
  /** Milliseconds. */
  now(): number;
  /** The exit code when the command ends without an error. Default 0. */
  setExitCode(code: number): void;
}
