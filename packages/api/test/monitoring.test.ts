import { readFileSync } from 'node:fs';
import path from 'node:path';
import { addTallies, foldTallies, readTallies } from '@godwit/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ServedApi } from './served-api.ts';

const deploy = path.join(import.meta.dirname, '../../../deploy');
/** Told by Prometheus itself of every job. */
const OF_PROMETHEUS = new Set(['up']);
/** What is not a name of a metric in these queries. */
const WORDS =
  /^(sum|max|by|le|rate|increase|deriv|clamp_min|histogram_quantile|label_values|job|status|kind|reason|state|vm|disk|host|executor|method|route|e|m|h)$/;

let api: ServedApi;
let told: Set<string>;
beforeAll(async () => {
  api = await ServedApi.start();
  await api.admin.get('/regions');
  const { body } = await api.admin.request('GET', '/metrics');
  told = new Set([...body.matchAll(/^# TYPE (\w+) (\w+)/gm)].flatMap(([, name, type]) => namesOf(name!, type!)));
});
afterAll(() => api[Symbol.asyncDispose]());

const namesOf = (name: string, type: string): string[] =>
  type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];

/** Names of metrics in a query. */
function metricsIn(query: string): string[] {
  const bare = query.replaceAll(/"[^"]*"|\[[^\]]*\]/g, '');
  return (bare.match(/[a-zA-Z_]\w*/g) ?? []).filter((word) => !WORDS.test(word));
}

describe('the files for those who watch an installation', () => {
  test('the dashboard asks only for metrics that are told', () => {
    const text = readFileSync(path.join(deploy, 'grafana/godwit.json'), 'utf8');
    const { panels } = JSON.parse(text) as { panels: { targets: { expr: string }[] }[] };
    const queries = panels.flatMap((panel) => panel.targets.map((target) => target.expr));
    expect(queries.length).toBeGreaterThan(15);
    const asked = queries.flatMap(metricsIn);
    expect(asked).toContain('godwit_queue_age_seconds');
    expect(asked.filter((name) => !told.has(name))).toEqual([]);
  });

  test('so do the alerts', () => {
    const rules = readFileSync(path.join(deploy, 'prometheus/godwit-alerts.yml'), 'utf8');
    const asked = [...rules.matchAll(/^ +expr: (.+)$/gm)].flatMap((match) => metricsIn(match[1]!));
    expect(asked.length).toBeGreaterThan(8);
    expect(asked.filter((name) => !told.has(name) && !OF_PROMETHEUS.has(name))).toEqual([]);
  });
});

describe('the metrics of the work', () => {
  const line = async (name: string): Promise<string> => {
    const { body } = await api.app.inject('/metrics');
    return body.split('\n').find((text) => text.startsWith(`${name} `) || text.startsWith(`${name}{`)) ?? '';
  };

  test('count over the life of the installation, whoever adds the rows up meanwhile', async () => {
    await Promise.all(Array.from({ length: 20 }, () => addTallies(api.db, { recoveries: 2, bytes_sent: 2 ** 40 })));
    await Promise.all([foldTallies(api.db), addTallies(api.db, { recoveries: 1 }), foldTallies(api.db)]);
    expect(await line('godwit_recoveries_total')).toBe('godwit_recoveries_total 41');
    expect(await line('godwit_copied_bytes_total{kind="sent"}')).toBe(
      `godwit_copied_bytes_total{kind="sent"} ${20 * 2 ** 40}`,
    );
    expect((await readTallies(api.db)).verify_mismatches).toBe(0);
  });

  test('tell why tasks wait and since when', async () => {
    const transfer = await api.transfer(api.admin, 'waits');
    await api.admin.post(`/transfers/${transfer}/executions`, { execution: {} });
    const { body } = await api.app.inject('/metrics');
    expect(body).toMatch(/^godwit_tasks_waiting\{reason="execution"\} 7$/m);
    expect(body).toMatch(/^godwit_tasks_waiting\{reason="no_worker"\} 0$/m);
    expect(Number((await line('godwit_queue_age_seconds')).split(' ')[1])).toBeGreaterThan(0);
    expect(body).not.toContain('godwit_worker_up');
  });
});
