import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadRoutes, nounNames } from '../src/nouns.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const pages = ['.', 'docs', 'docs/design', 'testbed/openstack'].flatMap((folder) =>
  readdirSync(path.join(root, folder))
    .filter((file) => file.endsWith('.md') && file !== 'CHANGELOG.md')
    .map((file) => path.join(folder, file)),
);
const textOf = (page: string) => readFileSync(path.join(root, page), 'utf8');

/** As GitHub names the place of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

const anchorsOf = (page: string) => [...textOf(page).matchAll(/^#+ (.+)$/gm)].map((match) => anchorOf(match[1]!));

describe.each(pages)('%s', (page) => {
  test('links to what is there', () => {
    const dead = [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => match[1]!)
      .filter((link) => !/^(https?|mailto):/.test(link))
      .filter((link) => {
        const [file = '', anchor] = link.split('#');
        const target = file === '' ? page : path.join(path.dirname(page), file);
        if (!existsSync(path.join(root, target))) return true;
        return anchor !== undefined && !anchorsOf(target).includes(anchor);
      });
    expect(dead).toEqual([]);
  });

  test('names files and folders that are there', () => {
    const named = [...textOf(page).matchAll(/`?((?:packages|docs|deploy|tools|testbed|perf)\/[\w./@-]*\w)/g)]
      .map((match) => match[1]!)
      .filter((file) => !/\b(NAME|CHECKOUT)\b/.test(file) && file !== 'perf/results');
    expect(named.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
  });

  test('names npm scripts that are there', () => {
    const scripts = Object.keys((JSON.parse(textOf('package.json')) as { scripts: object }).scripts);
    const named = [...textOf(page).matchAll(/\bnpm run (?:-\S+ )*([\w:]+)/g)].map((match) => match[1]!);
    expect(named.filter((script) => !scripts.includes(script))).toEqual([]);
  });

  test('names commands and options that are there', () => {
    const unknown = commandLines(textOf(page)).flatMap((line) => problemOf(line) ?? []);
    expect(unknown).toEqual([]);
  });
});

describe('the table of dependencies in ARCHITECTURE.md', () => {
  /** Names (with *, or an ending such as -arm64 of the one before) and the packages that use them. */
  const rows = textOf('ARCHITECTURE.md')
    .slice(textOf('ARCHITECTURE.md').indexOf('| dependency |'))
    .split('\n')
    .slice(2)
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, names = '', where = '']) => ({ names: names.split(', '), where: where.split(', ') }));
  const used = ['.', 'packages', 'packages/providers']
    .flatMap((folder) =>
      folder === '.' ? [folder] : readdirSync(path.join(root, folder)).map((name) => path.join(folder, name)),
    )
    .filter((folder) => existsSync(path.join(root, folder, 'package.json')))
    .flatMap((folder) => {
      const manifest = JSON.parse(textOf(`${folder}/package.json`)) as Record<string, object | undefined>;
      const user = folder === '.' ? 'root' : folder.replace('packages/', '');
      return ['dependencies', 'optionalDependencies', 'devDependencies'].flatMap((kind) =>
        Object.keys(manifest[kind] ?? {})
          .filter((name) => !name.startsWith('@godwit/'))
          .map((name) => ({ name, user, running: kind !== 'devDependencies' })),
      );
    });
  const fits = (pattern: string, name: string) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name || name.endsWith(pattern);

  test('has every one, with everybody who uses it', () => {
    const missing = used.filter(
      ({ name, user, running }) =>
        running &&
        !rows.some(
          ({ names, where }) =>
            names.some((pattern) => fits(pattern, name)) &&
            where.some((place) => place === user || (place === 'providers' && user.startsWith('providers/'))),
        ),
    );
    expect(missing).toEqual([]);
  });

  test('has none that is gone', () => {
    const needless = rows
      .filter(({ where }) => !where.includes('development'))
      .flatMap(({ names }) => names.filter((pattern) => !used.some(({ name }) => fits(pattern, name))));
    expect(needless).toEqual([]);
  });
});

/** What the library's route maps and commands show of themselves. */
interface Node {
  getAllEntries?: () => readonly { name: { original: string }; target: Node }[];
  parameters?: { flags?: Record<string, unknown>; aliases?: Record<string, string> };
}

const tree = new Map<string, Node>();

beforeAll(async () => {
  for (const noun of nounNames) {
    const entries = ((await loadRoutes(noun)) as unknown as Node).getAllEntries?.() ?? [];
    tree.set(noun, entries.find(({ name }) => name.original === noun)!.target);
  }
});

/** Command lines of `godwit`: whole lines of blocks, spans of code, quotations in the remedies of errors. */
function commandLines(text: string): string[] {
  const joined = text.replaceAll(/\\\n\s*/g, ' ');
  const blocks = [...joined.matchAll(/^ {4,}(?:npx )?(godwit .+)$/gm)].map((match) => match[1]!);
  const spans = [...joined.matchAll(/[`"](?:npx )?(godwit [^`"\n]+)[`"]/g)].map((match) => match[1]!);
  return [...blocks, ...spans];
}

/** Programs of their own, which parse for themselves. */
const APART = ['server', 'db', 'verify'];

function problemOf(line: string): string | undefined {
  const words = line
    .replace(/\s+#.*$/, '')
    .replaceAll(/'[^']*'/g, 'QUOTED')
    .split(/\s+/)
    .slice(1);
  const noun = words.find((word) => !word.startsWith('--os-') && nounNames.includes(word)) ?? words[0]!;
  // Patterns (NOUN VERB, `webhook ...`) name no command.
  if (!/^[a-z]/.test(noun) || APART.includes(noun) || (noun === 'provider' && words.includes('validate'))) return;
  let node = tree.get(noun);
  let rest = words.slice(words.indexOf(noun) + 1);
  while (node?.getAllEntries !== undefined) {
    const [verb] = rest;
    if (verb === undefined || /[|.]/.test(verb)) return;
    node = node.getAllEntries().find(({ name }) => name.original === verb)?.target;
    rest = rest.slice(1);
  }
  if (node === undefined) return line;
  const flags = Object.keys(node.parameters?.flags ?? {}).map((flag) =>
    flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
  );
  const bad = rest
    .filter((word) => word.startsWith('--') && !word.startsWith('--os-'))
    .map((word) => word.slice(2).replace(/=.*/, ''))
    .find((option) => !flags.includes(option) && option !== 'help');
  return bad === undefined ? undefined : `${line}: --${bad}`;
}
