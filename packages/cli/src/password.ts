import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { UsageError } from './usage-error.ts';

/**
 * Asks for a password on the terminal without showing what is typed.
 *
 * @param instead what to do where there is no terminal
 * @throws UsageError when there is no terminal to ask on
 */
export async function askPassword(question: string, instead = 'set OS_PASSWORD'): Promise<string> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new UsageError(`No password: ${instead} (there is no terminal to ask on).`);
  }
  process.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      reader.once('line', resolve);
      reader.once('SIGINT', () => reject(new UsageError('No password was given.')));
      reader.once('close', () => reject(new UsageError('No password was given.')));
    });
  } finally {
    reader.close();
    process.stderr.write('\n');
  }
}
