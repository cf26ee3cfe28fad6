import { expect, it } from 'vitest';
import { rootRun } from './root-run.ts';

it('moves six disks through three executions and thirty kills, then sends what changed and no more, and all are equal', async () => {
  const report = await rootRun({ seed: 20261121, kills: 30, say: (line) => console.log(line) });
  expect(report.different).toEqual([]);
  expect(report.disksCompared).toBe(6);
  expect(report.kills.worker + report.kills.api + report.kills.postgres).toBe(30);
  expect(report.executions.length).toBeGreaterThanOrEqual(4);
  expect(new Set(report.executions.map((execution) => execution.status))).toEqual(new Set(['COMPLETED']));
  expect(report.receipts).toBe(6 * report.executions.length);
  expect(report.resentTooMuch).toEqual([]);
  expect(report.quiet.sent).toBeGreaterThan(0);
  expect(report.quiet.sent).toBeLessThanOrEqual(report.quiet.changed);
  expect(report.leftovers).toEqual([]);
  expect(report.strays).toEqual([]);
}, 900_000);
