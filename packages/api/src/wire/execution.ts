import type { ErrorData } from '@godwit/domain';
import type * as store from '@godwit/store';
import type { Execution, Task } from '../schemas/execution.ts';
import { commonKeys } from './timestamp.ts';

/** Tasks that only an error would start are hidden until one does. */
function visibleTasks(tasks: readonly store.ToldTask[]): store.ToldTask[] {
  return tasks.filter((task) => task.status !== 'EXECUTE_ON_ERROR_ONLY').sort((a, b) => a.index - b.index);
}

export function executionToWire(row: store.Execution, tasks: readonly store.ToldTask[]): Execution {
  return {
    ...commonKeys(row),
    id: row.id,
    action_id: row.action_id,
    number: row.number,
    type: row.type,
    status: row.status,
    tasks: tasksToWire(tasks),
  };
}

export function tasksToWire(tasks: readonly store.ToldTask[]): Task[] {
  return visibleTasks(tasks).map(taskToWire);
}

function taskToWire(row: store.ToldTask): Task {
  return {
    ...commonKeys(row),
    id: row.id,
    execution_id: row.execution_id,
    instance: row.instance,
    host: row.host,
    process_id: row.process_id,
    status: row.status,
    task_type: row.task_type,
    exception_details: row.exception_details,
    depends_on: row.depends_on,
    index: row.index,
    on_error: row.on_error,
    events: row.events.map((event) => ({
      ...commonKeys(event),
      id: event.id,
      task_id: event.task_id,
      index: event.index,
      level: event.level,
      message: event.message,
    })),
    progress_updates: row.progress.map((update) => ({
      ...commonKeys(update),
      id: update.id,
      task_id: update.task_id,
      index: update.index,
      current_step: update.current_step,
      total_steps: update.total_steps,
      message: update.message,
      disk: update.disk,
    })),
    error: row.error === null ? null : errorToWire(row.error),
  };
}

function errorToWire(error: ErrorData): Record<string, unknown> {
  return {
    code: error.code,
    object: error.object,
    message: error.message,
    remedy: error.remedy,
    details: error.details,
  };
}
