// Entry of a copy thread. It imports no more than a copy needs: four of these must stay small beside the engine.
import { parentPort } from 'node:worker_threads';
import { GodwitError } from '@godwit/domain';
import type { CheckpointStore, LeafGroup, StoredReplica } from './checkpoint-store.ts';
import { type CopyJob, runCopyJob } from './copy-job.ts';
import type { FromCopyThread, StoreCall, ToCopyThread } from './copy-messages.ts';

const port = parentPort;
if (!port) throw new Error('copy-worker.ts is the entry of a thread');

const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
let lastId = 0;
let running: AbortController | null = null;

function tell(message: FromCopyThread): void {
  port!.postMessage(message);
}

function call(what: StoreCall): Promise<unknown> {
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    tell({ kind: 'call', id, call: what });
  });
}

const store: CheckpointStore = {
  load: () => call({ method: 'load', args: [] }) as Promise<StoredReplica | null>,
  readGroups: (...args) => call({ method: 'readGroups', args }) as Promise<LeafGroup[]>,
  changedGroups: (...args) => call({ method: 'changedGroups', args }) as Promise<number[]>,
  commit: (...args) => call({ method: 'commit', args }) as Promise<void>,
};

async function copy(job: CopyJob): Promise<void> {
  const abort = new AbortController();
  running = abort;
  try {
    const result = await runCopyJob(job, {
      store,
      signal: abort.signal,
      onProgress: (progress) => tell({ kind: 'progress', progress }),
      onRestart: (error) => tell({ kind: 'restart', error: error.toData() }),
    });
    running = null;
    tell({ kind: 'done', result });
  } catch (error) {
    running = null;
    tell({ kind: 'failed', error: GodwitError.wrap(error, 'INTERNAL', job.label ?? 'disk').toData() });
  }
}

port.on('message', (message: ToCopyThread) => {
  if (message.kind === 'copy') {
    void copy(message.job);
  } else if (message.kind === 'cancel') {
    running?.abort();
  } else {
    const caller = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.kind === 'answer') caller?.resolve(message.value);
    else caller?.reject(GodwitError.fromData(message.error));
  }
});
