// A program for tests: starts the Postgres of a folder, says what came of it, and stays until it is killed.
import { GodwitError } from '@godwit/domain';
import { startPostgres } from '../src/embedded-postgres.ts';

const [folder = '', port] = process.argv.slice(2);
try {
  const postgres = await startPostgres(folder, port === undefined ? {} : { port: Number(port) });
  console.log(JSON.stringify({ pid: postgres.pid, port: postgres.port, url: postgres.url('postgres') }));
  setInterval(() => undefined, 60_000);
} catch (error) {
  console.log(JSON.stringify({ code: error instanceof GodwitError ? error.code : 'other', text: String(error) }));
}
