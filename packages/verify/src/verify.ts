// godwit verify: checks receipts against disks, alone. It imports nothing of Godwit: a proof by the engine's own code
// would only prove the engine to itself.
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BadDisk, type Format, formats, guessFormat, leafDigests, Unread } from './disk.ts';
import { merkleRoot } from './merkle.ts';
import { BadReceipt, type Receipt, readKey, readReceipt } from './receipt.ts';

const help = `Usage: godwit verify RECEIPT... --disk [NAME=]PATH... [--key FILE] [--format FORMAT] [--json]

Checks that each disk holds exactly what its receipt proves, without a server and without the engine's code.

  RECEIPT            a receipt as "godwit receipt save" writes it; RECEIPT.leaves beside it lets it name the blocks
  --disk PATH        image file or block device; NAME=PATH ties it to the receipt of that disk, else they go in order
  --key FILE         public key (PEM) that must have signed; absent: RECEIPT.key if it is there, else not checked
  --format FORMAT    ${formats.join(', ')}; absent: by the first bytes. Formats other than raw need qemu-img
  --limit N          differing blocks to list, default 20
  --json             one JSON document instead of text

Exit: 0 all hold, 1 one does not or was not checked, 2 wrong usage.

Examples:
  godwit verify vda.receipt --disk /var/lib/libvirt/images/web01-vda.raw
  godwit verify vda.receipt vdb.receipt --disk vda=a.qcow2 --disk vdb=b.qcow2 --key site.pem --json
`;

/** What was found of one receipt. */
export interface Verdict {
  receipt: string;
  disk: string;
  path: string;
  holds: boolean;
  /** False when receipt or disk could not be read, so that nothing is proven either way. */
  checked: boolean;
  /** `valid`, or why it was not checked. */
  signature: string;
  root: string | null;
  /** Differing blocks, at most --limit of them. */
  blocks: { index: number; offset: number; length: number }[];
  differing: number | null;
  problem: string | null;
}

/** Runs the command; gives its exit code. */
export function main(args: string[]): number {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return usage((error as Error).message);
  }
  const { values, positionals: receipts } = parsed;
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const disks = (values.disk ?? []).map(splitName);
  const limit = Number(values.limit);
  const format = values.format as Format | undefined;
  if (receipts.length === 0) return usage('Name a receipt.');
  if (disks.length !== receipts.length) return usage(`${receipts.length} receipt(s) need as many --disk options.`);
  if (!Number.isSafeInteger(limit) || limit < 1) return usage('--limit takes a whole number above 0.');
  if (format !== undefined && !formats.includes(format)) return usage(`--format is one of ${formats.join(', ')}.`);

  const verdicts = receipts.map((file) => {
    const verdict = check(file, disks, { key: values.key, format, limit, quiet: values.json === true });
    if (!values.json) process.stdout.write(`${describe(verdict)}\n`);
    return verdict;
  });
  if (values.json) process.stdout.write(`${JSON.stringify(verdicts, null, 2)}\n`);
  return verdicts.every((verdict) => verdict.holds) ? 0 : 1;
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      disk: { type: 'string', multiple: true },
      key: { type: 'string' },
      format: { type: 'string' },
      limit: { type: 'string', default: '20' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

export interface NamedDisk {
  name: string | null;
  path: string;
  used: boolean;
}

function splitName(text: string): NamedDisk {
  const at = text.indexOf('=');
  // A path that holds "=" and exists as it stands is a path.
  if (at <= 0 || existsSync(text)) return { name: null, path: text, used: false };
  return { name: text.slice(0, at), path: text.slice(at + 1), used: false };
}

/** Checks one receipt against the disk of its name, else the next unnamed one. */
export function check(
  file: string,
  disks: NamedDisk[],
  options: { key: string | undefined; format: Format | undefined; limit: number; quiet: boolean },
): Verdict {
  const verdict: Verdict = {
    receipt: file,
    disk: '',
    path: '',
    holds: false,
    checked: true,
    signature: 'not checked: no key was given (--key)',
    root: null,
    blocks: [],
    differing: null,
    problem: null,
  };
  try {
    const keyFile = options.key ?? (existsSync(`${file}.key`) ? `${file}.key` : undefined);
    const receipt = readReceipt(readText(file), keyFile === undefined ? null : readKey(readText(keyFile)));
    if (keyFile !== undefined) verdict.signature = `valid, key ${receipt.keyId}`;
    if (keyFile !== undefined && options.key === undefined) {
      verdict.signature += ` (from ${keyFile}, which came with the receipt: --key checks with one that you trust)`;
    }
    verdict.disk = receipt.disk;
    const disk = choose(disks, receipt.disk);
    verdict.path = disk.path;
    const bar = options.quiet ? () => undefined : progressBar(receipt.disk);
    const format = options.format ?? guessFormat(disk.path);
    const digests = leafDigests(disk.path, format, receipt.size, receipt.leafSize, bar);
    verdict.root = merkleRoot(digests);
    verdict.holds = verdict.root === receipt.sourceRoot;
    if (verdict.holds) verdict.differing = 0;
    else nameBlocks(verdict, receipt, digests, `${file}.leaves`, options.limit);
  } catch (error) {
    if (!(error instanceof BadReceipt || error instanceof BadDisk || error instanceof Unread)) throw error;
    verdict.problem = error.message;
    verdict.checked = !(error instanceof Unread);
  }
  return verdict;
}

/** The leaf table beside the receipt says which blocks differ, if it is the receipt's own. */
function nameBlocks(verdict: Verdict, receipt: Receipt, digests: Uint8Array, file: string, limit: number): void {
  if (!existsSync(file)) {
    verdict.problem = `the disk differs; without ${file} no block can be named`;
    return;
  }
  const table = readFileSync(file);
  if (table.length !== digests.length || merkleRoot(table) !== receipt.sourceRoot) {
    verdict.problem = `the disk differs, and ${file} is not the leaf table of this receipt`;
    return;
  }
  verdict.differing = 0;
  for (let at = 0; at < table.length; at += 32) {
    if (table.subarray(at, at + 32).equals(digests.subarray(at, at + 32))) continue;
    verdict.differing += 1;
    if (verdict.blocks.length >= limit) continue;
    const offset = (at / 32) * receipt.leafSize;
    verdict.blocks.push({ index: at / 32, offset, length: Math.min(receipt.leafSize, receipt.size - offset) });
  }
}

function choose(disks: NamedDisk[], name: string): NamedDisk {
  const disk =
    disks.find((candidate) => !candidate.used && candidate.name === name) ??
    disks.find((candidate) => !candidate.used && candidate.name === null);
  if (disk === undefined) throw new Unread(`no --disk was given for disk ${name}`);
  disk.used = true;
  return disk;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Unread(`${file} cannot be read: ${(error as Error).message}`);
  }
}

function describe(verdict: Verdict): string {
  const path = verdict.path === '' ? '' : ` (${verdict.path})`;
  const name = verdict.disk === '' ? verdict.receipt : `disk ${verdict.disk}${path}`;
  const word = verdict.holds ? 'HOLDS' : verdict.checked ? 'DOES NOT HOLD' : 'NOT CHECKED';
  const lines = [`${word}: ${name}`];
  if (verdict.root !== null) lines.push(`  root       ${verdict.root}`);
  lines.push(`  signature  ${verdict.signature}`);
  if (verdict.problem !== null) lines.push(`  problem    ${verdict.problem}`);
  if (verdict.differing !== null && verdict.differing > 0) {
    lines.push(`  ${verdict.differing} block(s) of 65536 bytes differ:`);
    for (const block of verdict.blocks) {
      lines.push(`    block ${block.index}: bytes ${block.offset} to ${block.offset + block.length - 1}`);
    }
    if (verdict.differing > verdict.blocks.length) lines.push('    ... (--limit shows more)');
  }
  return lines.map(printable).join('\n');
}

/** Names come from a document that anybody may have written: no line feed or escape sequence of theirs forges a verdict. */
function printable(line: string): string {
  return line.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (odd) => `\\u{${odd.codePointAt(0)?.toString(16)}}`);
}

/** One line on a terminal, nothing elsewhere. */
function progressBar(disk: string): (done: number, size: number) => void {
  if (!process.stderr.isTTY) return () => undefined;
  let shown = -1;
  return (done, size) => {
    const percent = Math.floor((done / size) * 100);
    if (percent === shown) return;
    shown = percent;
    process.stderr.write(`\r${disk}: ${percent} %${done === size ? '\r\x1b[K' : ''}`);
  };
}

function usage(reason: string): number {
  process.stderr.write(`ERROR: ${reason}\nTry "godwit verify --help".\n`);
  return 2;
}
