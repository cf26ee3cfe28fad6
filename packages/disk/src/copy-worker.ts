// Entry of a copy thread. It imports no more than a copy needs: several of these must stay small beside the engine.
import { parentPort } from 'node:worker_threads';
import { GodwitError } from '@godwit/domain';
import type { CheckpointStore, LeafGroup, StoredReplica } from './checkpoint-store.ts';
import { type CopyJob, runCopyJob } from './copy-job.ts';
import type { FromCopyThread, StoreCall, ToCopyThread } from './copy-messages.ts';

const port = parentPort;
if (!port) throw new Error('copy-worker.ts is the entry of a thread');

const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
const running = new Map<number, AbortController>();
let lastCall = 0;

function tell(message: FromCopyThread): void {
  port!.postMessage(message);
}

/** The store of a copy: each call goes to the main thread. */
function storeOf(copy: number): CheckpointStore {
  const ask = (what: StoreCall): Promise<unknown> => {
    const call = ++lastCall;
    return new Promise((resolve, reject) => {
      waiting.set(call, { resolve, reject });
      tell({ kind: 'call', copy, call, what });
    });
  };
  return {
    load: () => ask({ method: 'load', args: [] }) as Promise<StoredReplica | null>,
    readGroups: (...args) => ask({ method: 'readGroups', args }) as Promise<LeafGroup[]>,
    changedGroups: (...args) => ask({ method: 'changedGroups', args }) as Promise<number[]>,
    commit: (...args) => ask({ method: 'commit', args }) as Promise<void>,
  };
}

async function run(copy: number, job: CopyJob): Promise<void> {
  const abort = new AbortController();
  running.set(copy, abort);
  try {
    const result = await runCopyJob(job, {
      store: storeOf(copy),
      signal: abort.signal,
      onProgress: (progress) => tell({ kind: 'progress', copy, progress }),
      onRestart: (error) => tell({ kind: 'restart', copy, error: error.toData() }),
    });
    tell({ kind: 'done', copy, result });
  } catch (error) {
    tell({ kind: 'failed', copy, error: GodwitError.wrap(error, 'INTERNAL', job.label ?? 'disk').toData() });
  } finally {
    running.delete(copy);
  }
}

port.on('message', (message: ToCopyThread) => {
  if (message.kind === 'copy') {
    void run(message.copy, message.job);
  } else if (message.kind === 'cancel') {
    running.get(message.copy)?.abort();
  } else {
    const caller = waiting.get(message.call);
    waiting.delete(message.call);
    if (message.kind === 'answer') caller?.resolve(message.value);
    else caller?.reject(GodwitError.fromData(message.error));
  }
});
