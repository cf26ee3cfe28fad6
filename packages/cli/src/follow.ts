import { type Api, type ApiObject, listOf, objectOf, textAt } from './api.ts';
import type { CliContext } from './context.ts';
import { isApiError } from './failure.ts';
import { type FollowState, followBegin, isFinal, takeIn } from './follow-state.ts';
import { plainProgress, progressLines } from './progress.ts';
import { RewrittenBlock } from './screen.ts';

/** What to follow. */
export interface FollowTarget {
  kind: 'transfer' | 'deployment';
  /** Id of the transfer or deployment. */
  actionId: string;
  /** Of a transfer. A deployment has one execution only. */
  executionId?: string;
  /** The status that counts as success. Default `COMPLETED`. */
  expect?: string;
}

/** Looks at the execution no more often than this, however many events come. */
const LOOK_EVERY_MS = 500;
/** Looks at least this often: the stream of events may be cut by a proxy without a word. */
const LOOK_AT_LEAST_MS = 5_000;
/** How often a log gets a line of progress per disk. */
const PLAIN_EVERY_MS = 10_000;
/** A server that is being restarted is waited for this long. */
export const SERVER_GONE_MS = 120_000;

/**
 * Follows an execution to its end: tasks, remarks and progress go to standard error. Sets exit code 1 when it ends in
 * anything but success, 130 when the user detaches with Ctrl-C: the execution goes on then.
 *
 * @returns false when the user detached
 * @throws ApiError when the server stays away
 */
export async function followExecution(context: CliContext, api: Api, target: FollowTarget): Promise<boolean> {
  const stop = new AbortController();
  const doorbell = new Doorbell();
  const interrupt = (): void => {
    stop.abort();
    doorbell.ring();
  };
  process.once('SIGINT', interrupt);
  const listening = listen(api, target, doorbell, stop.signal);
  const view = new FollowView(context);
  try {
    let lastAnswer = context.now();
    while (!stop.signal.aborted) {
      try {
        const { status, tasks } = await look(api, target);
        lastAnswer = context.now();
        view.take(status, tasks);
        if (isFinal(status)) {
          if (status !== (target.expect ?? 'COMPLETED')) context.setExitCode(1);
          return true;
        }
      } catch (error) {
        if (!mayPass(error) || context.now() - lastAnswer > SERVER_GONE_MS) throw error;
        view.say('The server does not answer; waiting for it.');
      }
      await doorbell.wait(LOOK_EVERY_MS, LOOK_AT_LEAST_MS);
    }
    view.say(`Detached: it goes on without you.\n${howToGoOn(target)}`);
    context.setExitCode(130);
    return false;
  } finally {
    process.removeListener('SIGINT', interrupt);
    stop.abort();
    view.close();
    await listening;
  }
}

/** How the user sees the rest, and how to stop it. */
export function howToGoOn(target: FollowTarget): string {
  const words =
    target.kind === 'deployment'
      ? ['deployment', target.actionId]
      : ['transfer execution', `${target.actionId} ${target.executionId ?? ''}`];
  return `Follow it again: godwit ${words[0]} show ${words[1]} --wait\nCancel it:       godwit ${words[0]} cancel ${words[1]}`;
}

async function look(api: Api, target: FollowTarget): Promise<{ status: string; tasks: ApiObject[] }> {
  if (target.kind === 'deployment') {
    const deployment = objectOf(await api.get(`/deployments/${target.actionId}`), 'deployment');
    return { status: textAt(deployment, 'last_execution_status'), tasks: listOf(deployment, 'tasks') };
  }
  const path = `/transfers/${target.actionId}/executions/${target.executionId ?? ''}`;
  const execution = objectOf(await api.get(path), 'execution');
  return { status: textAt(execution, 'status'), tasks: listOf(execution, 'tasks') };
}

/** Rings for every event that may concern the target. Its own failures are left to the looks, which fail too. */
async function listen(api: Api, target: FollowTarget, doorbell: Doorbell, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of api.events({ signal })) {
      const about = JSON.stringify(event.data);
      if (about.includes(target.actionId) || (target.executionId !== undefined && about.includes(target.executionId))) {
        doorbell.ring();
      }
    }
  } catch (error) {
    if (!signal.aborted && !isApiError(error)) throw error;
  }
}

/** No answer, or one that says "later". */
export function mayPass(error: unknown): boolean {
  return isApiError(error) && [0, 502, 503, 504].includes(error.status);
}

/** Wakes one waiter, early when it rings. */
class Doorbell {
  private rung = false;
  private wake: (() => void) | undefined;

  ring(): void {
    this.rung = true;
    this.wake?.();
  }

  /** At least `least` milliseconds unless it rings for the end, at most `most`. */
  async wait(least: number, most: number): Promise<void> {
    await pause(least);
    if (!this.rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, most - least);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.wake = undefined;
    }
    this.rung = false;
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Shows what is followed: rewritten lines on a terminal, plain lines in a log. */
class FollowView {
  private state: FollowState = followBegin;
  private ended = false;
  private lastPlain = 0;
  private lastSaid = '';
  private readonly context: CliContext;
  private readonly block: RewrittenBlock | undefined;

  constructor(context: CliContext) {
    this.context = context;
    const { stderr } = context.process;
    this.block = stderr.isTTY ? new RewrittenBlock(stderr) : undefined;
    this.lastPlain = context.now();
  }

  take(status: string, tasks: readonly ApiObject[]): void {
    const step = takeIn(this.state, status, tasks, this.context.now());
    this.state = step.state;
    this.ended = isFinal(status);
    this.lastSaid = '';
    for (const line of step.lines) this.print(line);
    if (this.block !== undefined) this.block.show(this.lines());
    else if (this.ended || this.context.now() - this.lastPlain >= PLAIN_EVERY_MS) this.printPlain();
  }

  /** A remark of our own, once while nothing else is said. */
  say(line: string): void {
    if (line !== this.lastSaid) this.print(line);
    this.lastSaid = line;
  }

  close(): void {
    if (this.block !== undefined) this.block.show(this.lines());
  }

  private print(line: string): void {
    if (this.block !== undefined) this.block.print(line, this.lines());
    else this.context.warn(line);
  }

  private printPlain(): void {
    this.lastPlain = this.context.now();
    for (const line of plainProgress(this.state.progress, this.ended)) this.context.warn(line);
  }

  private lines(): string[] {
    const { stderr } = this.context.process;
    // A terminal that does not know its size says 0.
    return progressLines(this.state.progress, stderr.columns || 80, Math.max(1, (stderr.rows || 24) - 2), this.ended);
  }
}
