import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type GuestHost, type GuestReport, readReport, takeOutput, troubleIn } from './guest.ts';

/** Milliseconds between two looks at the domain, and between two questions. */
const ASK_AGAIN_MS = 4000;

/**
 * Asks a guest for its report over its serial console, wherever it runs and whether or not the console is logged. Asks
 * until it answers: it may still be booting, and hears nothing then.
 *
 * @param seconds how long, default 180
 * @throws Error with the end of what it said, as soon as it cannot answer any more: it panicked, or does not run
 */
export async function askReport(host: GuestHost, domain: string, seconds = 180): Promise<GuestReport> {
  const device = (await host.virsh('ttyconsole', domain)).trim();
  // Not waiting in a read: a terminal that stays silent would never give the thread back, and closing it would wait too.
  const terminal = await open(device, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  let said = '';
  let trouble: string | null = null;
  try {
    const begun = performance.now();
    let asked = Number.NEGATIVE_INFINITY;
    while (trouble === null && performance.now() < begun + seconds * 1000) {
      said += await takeOutput(terminal);
      const report = readReport(said);
      if (report !== null) return report;
      trouble = troubleIn(said);
      if (performance.now() > asked + ASK_AGAIN_MS) {
        const state = (await host.virsh('domstate', domain, '--reason')).trim();
        if (/^(shut off|crashed|paused \(I\/O)/.test(state)) trouble = `it is ${state}`;
        asked = performance.now();
        await terminal.write('report\n');
      }
      await sleep(100);
    }
  } finally {
    await terminal.close();
  }
  throw new Error(`no report from ${domain} (${trouble ?? `none for ${seconds} s`}): ...${said.slice(-2000)}`);
}
