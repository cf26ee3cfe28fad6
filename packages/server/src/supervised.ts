import module from 'node:module';
import type { ChildMessage, StartMessage } from './kept-process.ts';

/** True when a supervisor started this process and speaks to it over a private channel. */
export function isSupervised(): boolean {
  return process.send !== undefined;
}

/** The supervisor's first word. */
export function receiveStart(): Promise<StartMessage> {
  return new Promise((resolve, reject) => {
    process.once('message', (message: StartMessage) => resolve(message));
    process.once('disconnect', () => reject(new Error('the supervisor is gone')));
  });
}

/** Tells the supervisor, if there is one, that this process serves. */
export function sayReady(): void {
  // All code is loaded now; a process that is killed later would not keep what it compiled.
  module.flushCompileCache();
  const message: ChildMessage = { type: 'ready' };
  process.send?.(message);
}

/** Milliseconds that a process takes to end in order before it just ends. */
const LIMIT = 8_000;

/**
 * Runs `stop` once when the process is asked to end: SIGTERM, SIGINT (alone only: under a supervisor the terminal's Ctrl-C
 * is the supervisor's), or the supervisor's death. Then the process ends, whatever is left.
 */
export function onEnd(stop: () => Promise<void>, report: (error: unknown) => void): void {
  let ending = false;
  const end = (code: number) => {
    if (ending) return;
    ending = true;
    setTimeout(() => process.exit(code), LIMIT).unref();
    stop().then(
      () => process.exit(code),
      (error: unknown) => {
        report(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => end(0));
  if (!isSupervised()) process.on('SIGINT', () => end(0));
  else if (process.connected) process.on('disconnect', () => end(1));
  // The supervisor died while this process was starting.
  else end(1);
}
