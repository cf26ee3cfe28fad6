import { suggestion, UsageError } from './usage-error.ts';

/** Options that hold for every command and may stand anywhere on the line, as with the openstack command. */
export interface GlobalOptions {
  /** Values of `--os-*`, by name without the dashes in front: `os-auth-url`. */
  readonly os: ReadonlyMap<string, string>;
  /** URL of the API, instead of the one in the catalog. */
  readonly endpoint: string | undefined;
  /** Print the cause and the stack of an error. */
  readonly debug: boolean;
}

const OS_OPTIONS = [
  'os-cloud',
  'os-auth-url',
  'os-auth-type',
  'os-username',
  'os-user-id',
  'os-user-domain-id',
  'os-user-domain-name',
  'os-project-id',
  'os-project-name',
  'os-project-domain-id',
  'os-project-domain-name',
  'os-tenant-id',
  'os-tenant-name',
  'os-region-name',
  'os-interface',
  'os-identity-api-version',
  'os-cacert',
] as const;

/** Everybody on the machine can read the process list, so a secret is never taken from there. */
const SECRET_OPTIONS: Readonly<Record<string, string>> = {
  'os-password': 'OS_PASSWORD',
  'os-token': 'OS_TOKEN',
  'os-auth-token': 'OS_AUTH_TOKEN',
  'os-application-credential-secret': 'OS_APPLICATION_CREDENTIAL_SECRET',
};

/** Options of single commands that only look like global ones. */
const COMMAND_OPTIONS: readonly string[] = ['os-morphing', 'os-type'];

/** How they are explained under every `--help`. */
export const globalOptionsHelp = `Options of every command: --os-cloud NAME, --os-auth-url URL, --os-username NAME, --os-project-name NAME and the other
--os-* of the openstack command; --debug. Before the noun also --endpoint URL (the API itself, without the catalog).
Read in this order: options, OS_* variables, clouds.yaml (--os-cloud or OS_CLOUD), GODWIT_HOME/openrc. A password is
taken from OS_PASSWORD, clouds.yaml, secure.yaml or openrc, else asked for.`;

/**
 * Takes the global options out of a command line.
 *
 * @param args the line without the program's name
 * @returns the options and what is left for the command
 * @throws UsageError for a missing value, an unknown `--os-*` or a secret on the command line
 */
export function takeGlobalOptions(args: readonly string[]): { globals: GlobalOptions; rest: string[] } {
  const os = new Map<string, string>();
  const rest: string[] = [];
  let endpoint: string | undefined;
  let debug = false;
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? '';
    if (arg === '--') {
      rest.push(...args.slice(index));
      break;
    }
    const { name, inline } = split(arg);
    if (name === 'debug' && inline === undefined) {
      debug = true;
    } else if (name === 'endpoint' && !rest.some((word) => !word.startsWith('-'))) {
      endpoint = inline ?? valueAfter(args, index, name);
      if (inline === undefined) index += 1;
    } else if (name?.startsWith('os-') && !COMMAND_OPTIONS.includes(name)) {
      const spelled = checked(name);
      os.set(spelled, inline ?? valueAfter(args, index, name));
      if (inline === undefined) index += 1;
    } else {
      rest.push(arg);
    }
  }
  return { globals: { os, endpoint, debug }, rest };
}

function split(arg: string): { name: string | undefined; inline: string | undefined } {
  if (!arg.startsWith('--')) return { name: undefined, inline: undefined };
  const equals = arg.indexOf('=');
  if (equals < 0) return { name: arg.slice(2), inline: undefined };
  return { name: arg.slice(2, equals), inline: arg.slice(equals + 1) };
}

function checked(name: string): string {
  const variable = SECRET_OPTIONS[name];
  if (variable !== undefined) {
    throw new UsageError(
      `--${name} is not accepted: everybody on this machine can read it in the process list. Set ${variable} or leave it out to be asked.`,
    );
  }
  if (!(OS_OPTIONS as readonly string[]).includes(name)) {
    throw new UsageError(
      `Unknown option --${name}.${suggestion(
        `--${name}`,
        OS_OPTIONS.map((known) => `--${known}`),
      )}`,
    );
  }
  return name;
}

function valueAfter(args: readonly string[], index: number, name: string): string {
  const value = args[index + 1];
  if (value === undefined || value.startsWith('--')) throw new UsageError(`--${name} needs a value.`);
  return value;
}
