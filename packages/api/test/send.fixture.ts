import { send } from '../src/webhooks/send.ts';

// Sends once, as a server would that was started with this environment, and prints what became of it.
const answer = await send(
  process.argv[2]!,
  { 'content-type': 'application/json' },
  '{}',
  60_000,
  new AbortController().signal,
);
process.stdout.write(JSON.stringify(answer));
