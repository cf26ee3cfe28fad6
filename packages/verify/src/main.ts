import { main } from './verify.ts';

process.exitCode = main(process.argv.slice(2));
