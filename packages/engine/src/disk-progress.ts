import type { CopyProgress } from '@godwit/disk';
import { addProgress, appendEvent, type Db, type DiskProgress, setProgress } from '@godwit/store';
import type { Logger } from 'pino';

/** Milliseconds between two writes. */
const EVERY_MS = 1_000;

export interface DiskProgressOptions {
  db: Db;
  log: Logger;
  projectId: string;
  executionId: string;
  taskId: string;
  instance: string;
}

interface Line {
  id: string;
  progress: DiskProgress;
  message: string;
  dirty: boolean;
}

/**
 * The live counters of a task's disks: one progress update for each, moved about once a second, and an event for those who
 * watch. Nothing depends on it, so a write that fails is only logged.
 */
export class DiskProgressBoard {
  readonly #options: DiskProgressOptions;
  readonly #lines = new Map<string, Line>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: DiskProgressOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#flush(), EVERY_MS);
  }

  /** Finds the disk's line of an earlier attempt, or adds one. */
  async open(diskId: string, size: number): Promise<void> {
    const { db, taskId } = this.#options;
    const rows = await db.selectFrom('progress_update').select(['id', 'disk']).where('task_id', '=', taskId).execute();
    const old = rows.find((row) => row.disk?.disk_id === diskId);
    const progress: DiskProgress = { disk_id: diskId, size, done: 0, read: 0, sent: 0, skipped: 0, phase: 'copy' };
    const message = `Replicating disk ${diskId}`;
    const id =
      old?.id ?? (await addProgress(db, taskId, { message, currentStep: 0, totalSteps: size, disk: progress })).id;
    this.#lines.set(diskId, { id, progress: old?.disk ?? progress, message, dirty: false });
  }

  move(diskId: string, progress: CopyProgress): void {
    const line = this.#lines.get(diskId);
    if (line === undefined) return;
    const { counters, doneBytes, phase, totalBytes } = progress;
    line.progress = {
      disk_id: diskId,
      size: totalBytes,
      done: doneBytes,
      read: counters.bytesRead,
      sent: counters.bytesSent,
      skipped: counters.bytesSkipped,
      zeroed: counters.bytesZeroed,
      resent: counters.bytesResent,
      phase,
    };
    line.message = phase === 'verify' ? `Verifying disk ${diskId}` : `Replicating disk ${diskId}`;
    line.dirty = true;
  }

  /** The disk is proven. */
  finish(diskId: string, progress: Omit<CopyProgress, 'phase'>): void {
    this.move(diskId, { ...progress, phase: 'verify' });
    const line = this.#lines.get(diskId);
    if (line === undefined) return;
    line.progress.phase = 'done';
    line.message = `Replicated disk ${diskId}`;
  }

  /** Writes what is left. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#flush();
    await this.#writing;
  }

  #flush(): void {
    const dirty = [...this.#lines.values()].filter((line) => line.dirty);
    if (dirty.length === 0) return;
    for (const line of dirty) line.dirty = false;
    this.#writing = this.#writing.then(() => this.#write(dirty));
  }

  async #write(lines: Line[]): Promise<void> {
    const { db, executionId, instance, log, projectId, taskId } = this.#options;
    try {
      await db.transaction().execute(async (trx) => {
        for (const { id, message, progress } of lines) {
          await setProgress(trx, id, {
            message,
            currentStep: progress.done,
            totalSteps: progress.size,
            disk: progress,
          });
          await appendEvent(trx, {
            projectId,
            type: 'progress',
            objectType: 'task',
            objectId: taskId,
            payload: { execution_id: executionId, instance, message, disk: progress },
          });
        }
      });
    } catch (error) {
      log.debug({ err: error }, 'progress could not be written');
    }
  }
}
