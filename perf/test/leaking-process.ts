import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A process that works as the API does, in small: things that are made and forgotten all the time, and a heap that is kept.
 * Beside it loses what it is told to lose. Ten minutes of load take it seconds; so that collections fall among them as among
 * minutes however busy the machine is, it asks for them (`--expose-gc`).
 *
 * @param argv MiB kept, MiB lost in each of the minutes, minutes
 */
const MIB = 1_048_576;
const [kept = 0, lost = 0, minutes = 0] = process.argv.slice(2).map(Number);
/** As the bench takes them: one each 2 s. */
const SAMPLES = 30;

/** About so many bytes of small objects, as answers and rows are. */
function objects(bytes: number): object[] {
  return Array.from({ length: bytes / 128 }, (_, nth) => ({ id: nth, name: `row ${nth}`, at: nth / 7, next: null }));
}

/** Samples between collections: 22 s of the API under load. */
const COLLECT = 11;
const { gc } = globalThis;
if (gc === undefined) throw new Error('to be run with --expose-gc');

const held = [objects(kept * MIB)];
for (let sample = 0; sample < minutes * SAMPLES; sample += 1) {
  if (lost > 0) held.push(objects((lost * MIB) / SAMPLES));
  if (sample % COLLECT === 0) gc();
  for (let request = 0; request < 2; request += 1) {
    objects(MIB / 2);
    await sleep(0);
  }
  const { heapUsed, external } = process.memoryUsage();
  process.stdout.write(`${heapUsed + external}\n`);
}
process.exitCode = held.length > 0 ? 0 : 1;
