import { once } from 'node:events';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type GuestHost, type GuestReport, readReport } from './guest.ts';

/**
 * Asks a guest for its report over its serial console, wherever it runs and whether or not the console is logged. Asks
 * until it answers: it may still be booting, and hears nothing then.
 *
 * @param seconds how long, default 180
 */
export async function askReport(host: GuestHost, domain: string, seconds = 180): Promise<GuestReport> {
  const device = (await host.virsh('ttyconsole', domain)).trim();
  const terminal = await open(device, constants.O_RDWR | constants.O_NOCTTY);
  const stream = terminal.createReadStream({ autoClose: false });
  let said = '';
  let trouble = '';
  stream.on('data', (part) => {
    said += part.toString('latin1');
  });
  stream.on('error', (error) => {
    trouble = error.message;
  });
  try {
    for (let tries = 0; tries < seconds * 5 && trouble === ''; tries += 1) {
      const report = readReport(said);
      if (report !== null) return report;
      if (tries % 20 === 0) await terminal.write('report\n');
      await sleep(200);
    }
  } finally {
    stream.destroy();
    await Promise.race([once(stream, 'close'), sleep(500)]);
    await terminal.close();
  }
  throw new Error(`no report from ${domain} ${trouble}: ...${said.slice(-800)}`);
}
