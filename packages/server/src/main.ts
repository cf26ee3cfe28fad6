import module from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';

// First of all, before anything else is loaded: code that was compiled once is not compiled again. It halves the start and
// saves a third of the memory. Not in the shared temporary folder, where others may write. NODE_COMPILE_CACHE wins.
const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache');
module.enableCompileCache(process.env.NODE_COMPILE_CACHE ?? path.join(cache, 'godwit'));
// The durable engine's way of using the driver is noted by the driver at every start; nobody here can act on it.
process.noDeprecation = true;

const { runCommand } = await import('./command.ts');
process.exit(await runCommand(import.meta.filename, process.argv.slice(2)));
