import { type ApiObject, listOf, numberAt, textAt } from './api.ts';
import { cell, type Row } from './cell.ts';

/** An execution as one row of a list. */
export const EXECUTION_COLUMNS = ['Transfer ID', 'ID', 'Status', 'Created'];

export function executionRow(execution: ApiObject): Row {
  return {
    'Transfer ID': execution.action_id ?? null,
    ID: execution.id ?? null,
    Status: execution.status ?? null,
    Created: execution.created_at ?? null,
  };
}

/** An execution with its tasks. */
export function executionDetail(execution: ApiObject): Row {
  const tasks = listOf(execution, 'tasks');
  const instances = [...new Set(tasks.map((task) => textAt(task, 'instance')))].sort();
  return {
    id: execution.id ?? null,
    transfer_id: execution.action_id ?? null,
    status: execution.status ?? null,
    created: execution.created_at ?? null,
    last_updated: execution.updated_at ?? null,
    instances: cell(instances, instances.join('\n')),
    tasks: tasksCell(tasks),
  };
}

/** Tasks: objects for programs, paragraphs for people. */
export function tasksCell(tasks: readonly ApiObject[]) {
  return cell([...tasks], tasks.map(describeTask).join('\n\n'));
}

const TASK_FIELDS = ['id', 'task_type', 'instance', 'status', 'depends_on', 'exception_details'] as const;

function describeTask(task: ApiObject): string {
  const lines = TASK_FIELDS.map((field) => {
    const value = task[field];
    return `${field}: ${Array.isArray(value) ? value.join(', ') : textAt(task, field)}`;
  });
  const updates = sortedUpdates(task).map(describeUpdate);
  const warnings = warningsOf(task).map((event) => `${textAt(event, 'created_at')} ${textAt(event, 'message')}`);
  return [...lines, 'progress_updates:', ...updates, ...(warnings.length === 0 ? [] : ['warnings:', ...warnings])].join(
    '\n',
  );
}

/** What a task warns of: why it waits, what is tried again, what was not done. Errors are told with the end of their task. */
export function warningsOf(task: ApiObject): ApiObject[] {
  return listOf(task, 'events').filter((event) => textAt(event, 'level') === 'WARNING');
}

/** Progress updates in the order in which they were made. */
export function sortedUpdates(task: ApiObject): ApiObject[] {
  return listOf(task, 'progress_updates').sort(
    (a, b) =>
      numberAt(a, 'index') - numberAt(b, 'index') || textAt(a, 'created_at').localeCompare(textAt(b, 'created_at')),
  );
}

function describeUpdate(update: ApiObject): string {
  const step = numberAt(update, 'current_step');
  const steps = numberAt(update, 'total_steps');
  const percent = step > 0 && steps > 0 ? ` [${((step * 100) / steps).toFixed(0)}%]` : '';
  return `${textAt(update, 'created_at')}${percent} ${textAt(update, 'message')}`;
}
