import * as store from '@godwit/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RememberedAnswers, WrittenAnswer, writeAnswer } from '../src/remembered-answers.ts';
import { ServedApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await ServedApi.start();
});
afterAll(() => api[Symbol.asyncDispose]());

/** A transfer with one execution of one task that has said something. */
async function history(name: string) {
  const transfer = await api.transfer(api.member, name);
  const execution = await store.insertExecution(api.db, {
    actionId: transfer,
    actionType: 'transfer',
    type: 'transfer_execution',
    status: 'RUNNING',
  });
  const [task] = await store.insertTasks(api.db, execution.id, [
    { instance: 'web01', taskType: 'REPLICATE_DISKS', index: 1 },
  ]);
  await store.addTaskEvent(api.db, task!.id, 'INFO', 'it began; “quoted”, ünïcode');
  const progress = await store.addProgress(api.db, task!.id, { message: 'vda', currentStep: 1, totalSteps: 9 });
  return { transfer, execution: execution.id, task: task!.id, progress: progress.id };
}

/** Asks until the answer comes from memory. */
async function warmed(path: string): Promise<string> {
  const bodies = [];
  for (let nth = 0; nth < 4; nth++) bodies.push((await api.member.get(path)).body);
  expect(new Set(bodies).size).toBe(1);
  return bodies[0]!;
}

describe('an answer that is asked for again', () => {
  test('is byte for byte the one that was made first, in its headers too, in either dialect', async () => {
    const { transfer, execution } = await history('same');
    const paths = [
      '/endpoints',
      '/transfers',
      '/transfers?limit=1&sort_key=updated_at&sort_dir=desc',
      `/transfers?marker=${transfer}`,
      `/transfers/${transfer}/executions`,
      `/transfers/${transfer}/executions/detail`,
      `/transfers/${transfer}/executions/${execution}`,
      '/replicas',
      `/replicas/${transfer}/executions`,
      `/replicas/${transfer}/executions/${execution}`,
    ];
    const own = new Set(['x-openstack-request-id', 'x-compute-request-id', 'date']);
    for (const path of paths) {
      const answers = [];
      for (let nth = 0; nth < 4; nth++) answers.push(await api.member.get(path));
      const told = answers.map(({ statusCode, headers, body }) => [
        statusCode,
        Object.entries(headers).filter(([name]) => !own.has(name)),
        body,
      ]);
      expect(told[0]![0]).toBe(200);
      for (const later of told) expect(later).toEqual(told[0]);
    }
  });

  test('tells at once what another process has changed', async () => {
    const { transfer, execution, task, progress } = await history('changed');
    const one = `/transfers/${transfer}/executions/${execution}`;
    const all = `/transfers/${transfer}/executions`;
    const changes: [path: string, said: string, change: () => Promise<unknown>][] = [
      [one, 'a second event', () => store.addTaskEvent(api.db, task, 'INFO', 'a second event')],
      [all, 'a third event', () => store.addTaskEvent(api.db, task, 'INFO', 'a third event')],
      [one, '"current_step":7', () => store.setProgress(api.db, progress, { currentStep: 7 })],
      [all, '"current_step":8', () => store.setProgress(api.db, progress, { currentStep: 8 })],
      [one, 'a new remark', () => store.addProgress(api.db, task, { message: 'a new remark' })],
      [one, '"host":"elsewhere"', () => store.claimTask(api.db, task, { host: 'elsewhere', processId: 1 })],
      [all, '"CANCELED"', () => store.setTask(api.db, task, undefined, { status: 'CANCELED' })],
      [one, '"status":"ERROR"', () => store.setExecutionStatus(api.db, execution, 'ERROR')],
      ['/transfers', 'noted elsewhere', () => store.updateTransfer(api.db, transfer, { notes: 'noted elsewhere' })],
      ['/transfers?limit=25', 'noted again', () => store.updateTransfer(api.db, transfer, { notes: 'noted again' })],
    ];
    for (const [path, said, change] of changes) {
      expect(await warmed(path)).not.toContain(said);
      await change();
      expect((await api.member.get(path)).body).toContain(said);
    }
    const endpoint = await api.endpoint(api.member, 'mapped');
    const region = await store.ensureRegion(api.db, 'nearby');
    expect(await warmed('/endpoints')).not.toContain(region.id);
    await store.mapRegions(api.db, 'endpoint', endpoint, [region.id]);
    expect(await warmed('/endpoints')).toContain(region.id);
    await store.mapRegions(api.db, 'endpoint', endpoint, []);
    expect((await api.member.get('/endpoints')).body).not.toContain(region.id);
  });

  test('is gone at once with what it shows', async () => {
    const { transfer, execution } = await history('gone');
    const one = `/transfers/${transfer}/executions/${execution}`;
    await store.setExecutionStatus(api.db, execution, 'ERROR');
    for (const path of [one, `/transfers/${transfer}/executions`, '/transfers']) await warmed(path);
    await store.deleteTransfer(api.db, transfer);
    expect((await api.member.get(one)).statusCode).toBe(404);
    expect((await api.member.get(`/transfers/${transfer}/executions`)).json()).toEqual({ executions: [] });
    expect((await api.member.get('/transfers')).body).not.toContain(transfer);
  });

  test('is given to nobody who may not see it', async () => {
    const { transfer } = await history('private');
    const other = await api.transfer(api.admin, 'of the administrator');
    expect(await warmed('/transfers')).toContain(transfer);
    for (let nth = 0; nth < 4; nth++) {
      expect((await api.admin.get('/transfers')).body).toContain(other);
      expect((await api.member.get('/transfers')).body).not.toContain(other);
    }
  });
});

describe('what is remembered', () => {
  const big = { text: 'x'.repeat(100_000) };

  test('stays within 16 MiB however much is asked for', async () => {
    const answers = new RememberedAnswers(() => new Date());
    for (let nth = 0; nth < 500; nth++) {
      for (let time = 0; time < 3; time++) {
        await answers.answer(
          `key ${nth}`,
          async () => 'version',
          async () => big,
        );
      }
    }
    expect(answers.bytes).toBeGreaterThan(15 * 1_048_576);
    expect(answers.bytes).toBeLessThanOrEqual(16 * 1_048_576);
  });

  test('is given back when nobody has asked for it in a minute', async () => {
    let now = 0;
    const answers = new RememberedAnswers(() => new Date(now));
    const ask = async (key: string) => {
      for (let time = 0; time < 3; time++) {
        await answers.answer(
          key,
          async () => 'version',
          async () => big,
        );
      }
    };
    for (let nth = 0; nth < 50; nth++) await ask(`key ${nth}`);
    expect(answers.bytes).toBeGreaterThan(5_000_000);
    now = 60_000;
    await ask('another');
    expect(answers.bytes).toBeLessThan(200_000);
  });

  test('is made anew after a minute even if its rows are the same', async () => {
    let now = 0;
    let made = 0;
    const answers = new RememberedAnswers(() => new Date(now));
    const ask = () =>
      answers.answer(
        'key',
        async () => 'version',
        async () => ({ made: ++made }),
      );
    for (let nth = 0; nth < 4; nth++) await ask();
    const remembered = await ask();
    expect(remembered).toBeInstanceOf(WrittenAnswer);
    expect(String(writeAnswer(remembered))).toBe('{"made":2}');
    now = 60_000;
    expect(String(writeAnswer(await ask()))).toBe('{"made":3}');
  });
});
