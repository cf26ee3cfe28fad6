import {
  type Application,
  ArgumentParseError,
  buildApplication,
  FlagNotFoundError,
  formatMessageForArgumentScannerError,
  help,
  type PartialApplicationConfiguration,
  proposeCompletions,
  run,
  text_en,
  version as versionFlag,
} from '@stricli/core';
import type { CliContext } from './context.ts';
import { describeFailure, exitCodeOf } from './failure.ts';
import { loadRoutes } from './nouns.ts';
import { nearest, UsageError } from './usage-error.ts';

/** The application for one command line. */
export async function buildGodwit(
  noun: string | undefined,
  version: string,
  debug: boolean,
): Promise<Application<CliContext>> {
  const explain = (error: unknown): string => describeFailure(error, debug);
  const documentation = {
    caseStyle: 'convert-camel-to-kebab',
    useAliasInUsageLine: false,
    onlyRequiredInUsageLine: true,
    alwaysShowHelpAllFlag: false,
    disableAnsiColor: false,
  } as const;
  const configuration: PartialApplicationConfiguration = {
    name: 'godwit',
    scanner: { caseStyle: 'allow-kebab-for-camel', allowArgumentEscapeSequence: true },
    documentation,
    determineExitCode: exitCodeOf,
    localization: {
      text: {
        ...text_en,
        noCommandRegisteredForInput: ({ input, corrections }) =>
          explain(new UsageError(`"${input}" is not a command.${didYouMean(corrections)}`)),
        exceptionWhileParsingArguments: (error) => explain(new UsageError(parsingMessage(error))),
        exceptionWhileLoadingCommandFunction: explain,
        exceptionWhileLoadingCommandContext: explain,
        exceptionWhileRunningCommand: explain,
        commandErrorResult: explain,
      },
    },
  };
  // The library's own set takes -H for more help; schedules need it for the hour.
  return buildApplication(await loadRoutes(noun), configuration, {
    help: help({
      brief: text_en.briefs.help,
      defaultForRouteMap: true,
      includeHidden: false,
      formatting: documentation,
    }),
    version: versionFlag({
      brief: text_en.briefs.version,
      info: { currentVersion: version },
      alias: 'v',
      hook: 'app:start',
    }),
  });
}

/**
 * Runs one command line.
 *
 * @param args the command line without the global options
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage
 */
export async function runGodwit(
  args: readonly string[],
  version: string,
  makeContext: (stop: (code: number) => void) => CliContext,
  debug: boolean,
): Promise<number> {
  let chosen = 0;
  const context = makeContext((code) => {
    chosen = code;
  });
  const line = setApart(args[0] === 'help' ? [...args.slice(1), '--help'] : args);
  const noun = line.find((word) => !word.startsWith('-'));
  const app = await buildGodwit(noun, version, debug);
  const state = { ...context, process: { ...streams(context), exitCode: undefined as number | undefined } };
  await run(app, line, state as unknown as CliContext);
  return chosen || toExitCode(state.process.exitCode ?? 0);
}

/**
 * What may come next on a half-typed command line.
 *
 * @param words the line so far, without the program; the last word is the one being typed, '' when none is begun
 */
export async function proposeWords(words: readonly string[], context: CliContext): Promise<string[]> {
  const app = await buildGodwit(words[0], '', false);
  const proposals = await proposeCompletions(app, words, context);
  return proposals.map((proposal) => proposal.completion);
}

/** `-fjson` and `-cName`, as scripts for the openstack command have them, in the two words that the library reads. */
function setApart(words: readonly string[]): string[] {
  const end = words.indexOf('--');
  return words.flatMap((word, index) => {
    const joined = end >= 0 && index > end ? null : /^-([fc])([^=].*)$/s.exec(word);
    return joined === null ? [word] : [`-${joined[1]}`, joined[2] ?? ''];
  });
}

/** The library's own codes are negative: a command line it could not understand is usage, the rest failed. */
function toExitCode(code: number): number {
  if (code >= 0) return code;
  return code === -4 || code === -5 ? 2 : 1;
}

function streams(context: CliContext) {
  return { stdout: context.process.stdout, stderr: context.process.stderr, env: context.process.env };
}

function parsingMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof FlagNotFoundError) {
    const corrections = error.corrections.map(optionName).filter((name) => isAlike(error.input, name.slice(2)));
    return `Unknown option --${error.input}.${didYouMean(corrections)}`;
  }
  if (error instanceof ArgumentParseError) {
    const reason = error.exception instanceof Error ? error.exception.message : String(error.exception);
    const name = error.externalFlagNameOrPlaceholder;
    // An option has its name, an argument its placeholder in capitals.
    return `${name === name.toUpperCase() ? name : `--${name}`}: ${reason}.`;
  }
  return formatMessageForArgumentScannerError(error as FlagNotFoundError, {});
}

/** As it is typed: the library suggests its own names, `originEndpoint` for `--origin-endpoint`. */
function optionName(name: string): string {
  return name.startsWith('-') ? name : `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The library takes `--enabled` for what was meant by `--name`. */
function isAlike(input: string, option: string): boolean {
  return option.includes(input) || nearest(input, [option]) !== undefined;
}

function didYouMean(corrections: readonly string[]): string {
  const names = corrections.map((name) => `"${name.replaceAll('`', '')}"`);
  return names.length === 0 ? '' : ` Did you mean ${names.join(' or ')}?`;
}
