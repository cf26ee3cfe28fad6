import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';

/** A secret that nobody else has, not even the same test running beside itself. */
export interface Canary {
  /** The random part of it: letters and digits only, which quoting of any kind leaves as they are. */
  core: string;
  /** All of it. Absent: its hashes tell nothing. */
  value?: string;
}

/** @param pattern where `*` becomes the random part; the rest may hold whatever encodings change */
export function canary(pattern: string): Required<Canary> {
  const core = randomBytes(12).toString('hex');
  return { value: pattern.replaceAll('*', core), core };
}

/** A secret of a machine's making, such as a token: all of it is looked for, but no hash, for nobody could guess at that. */
export const known = (core: string): Canary => ({ core });

/** Ways in which a secret may be written down, by name; each of them is found by {@link SecretSearch}. */
export const encodings: Readonly<Record<string, (value: string) => string>> = {
  clear: (value) => value,
  json: (value) => JSON.stringify({ value }),
  'json in json': (value) => JSON.stringify({ text: JSON.stringify({ value }) }),
  url: encodeURIComponent,
  hex: (value) => Buffer.from(value).toString('hex'),
  base64: (value) => Buffer.from(value).toString('base64'),
  'base64 of json': (value) => Buffer.from(JSON.stringify({ value })).toString('base64'),
  'base64 with a name': (value) => Buffer.from(`operator:${value}`).toString('base64'),
  base64url: (value) => Buffer.from(`a:${value}`).toString('base64url'),
  sha256: (value) => createHash('sha256').update(value).digest('hex'),
  md5: (value) => createHash('md5').update(value).digest('base64'),
};

/** What of a secret may be found: its random part in clear, in hex, at each phase of base64, and hashes that can be guessed at. */
function spellings({ core, value }: Canary): string[] {
  const bytes = Buffer.from(core);
  const phases = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    // Without the characters that its neighbours decide.
    return text.slice(shift === 0 ? 0 : 4, -4);
  });
  const hashes = ['md5', 'sha1', 'sha256', 'sha512'].flatMap((name) => {
    if (value === undefined) return [];
    const hash = createHash(name).update(value).digest();
    return [hash.toString('hex'), hash.toString('base64').replace(/=+$/, ''), hash.toString('base64url')];
  });
  const hex = bytes.toString('hex');
  return [core, hex, hex.toUpperCase(), ...phases, ...hashes];
}

/** Looks for secrets in whatever was written somewhere. */
export class SecretSearch {
  readonly #needles = new Map<string, string>();

  constructor(secrets: Readonly<Record<string, Canary>>) {
    this.add(secrets);
  }

  add(secrets: Readonly<Record<string, Canary>>): void {
    for (const [name, secret] of Object.entries(secrets)) {
      for (const spelling of spellings(secret)) this.#needles.set(spelling, name);
    }
  }

  /** Names of the secrets that a text holds, sorted. */
  in(text: string): string[] {
    const found = new Set<string>();
    for (const [needle, name] of this.#needles) if (text.includes(needle)) found.add(name);
    return [...found].sort();
  }

  /** Files below the folders that hold one. What is looked for goes by a pipe: a command line is what others can read. */
  files(...folders: string[]): string[] {
    const input = [...this.#needles.keys()].join('\n');
    const grep = spawnSync('grep', ['-rlaF', '-f', '-', ...folders], { encoding: 'utf8', input });
    // A file that a living installation removed meanwhile is no answer, whatever else is said is a failure.
    const said = grep.stderr.split('\n').filter((line) => line !== '' && !line.endsWith('No such file or directory'));
    if (said.length > 0) throw new Error(said.join('\n'));
    return grep.stdout.split('\n').filter((file) => file !== '');
  }
}
