import { readFileSync } from 'node:fs';
import { proposeWords, runGodwit } from './app.ts';
import type { CliContext } from './context.ts';
import { describeFailure, exitCodeOf } from './failure.ts';
import { type GlobalOptions, takeGlobalOptions } from './global-options.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  stopQuietlyWhenTheReaderIsGone();
  try {
    if (argv[0] === 'complete' && argv[1] === 'propose') return await propose(argv.slice(3));
    const { globals, rest } = takeGlobalOptions(argv);
    return await runGodwit(rest, version(), (setExitCode) => processContext(globals, setExitCode), globals.debug);
  } catch (error) {
    process.stderr.write(`${describeFailure(error, argv.includes('--debug'))}\n`);
    return exitCodeOf(error);
  }
}

/** Bash asks what may follow; a space at the end of its line begins a new word. */
async function propose(words: readonly string[]): Promise<number> {
  const globals: GlobalOptions = { os: new Map(), endpoint: undefined, debug: false };
  const line = process.env.COMP_LINE?.endsWith(' ') ? [...words, ''] : words;
  const proposals = await proposeWords(
    line,
    processContext(globals, () => undefined),
  );
  process.stdout.write(proposals.map((proposal) => `${proposal}\n`).join(''));
  return 0;
}

function processContext(globals: GlobalOptions, setExitCode: (code: number) => void): CliContext {
  let api: Promise<import('./api.ts').Api> | undefined;
  return {
    process,
    globals,
    connect() {
      api ??= import('./session.ts').then((session) => session.signIn(globals));
      return api;
    },
    connectLogs: async () => (await import('./session.ts')).signInAtLogs(globals),
    connectIdentity: async () => (await import('./session.ts')).signInAtIdentity(globals),
    async readStdin() {
      const { text } = await import('node:stream/consumers');
      return text(process.stdin);
    },
    print: (text) => void process.stdout.write(text),
    warn: (line) => void process.stderr.write(`${line}\n`),
    now: () => performance.now(),
    setExitCode,
  };
}

/** `godwit transfer list | head -1` must not end in a stack trace. */
function stopQuietlyWhenTheReaderIsGone(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
