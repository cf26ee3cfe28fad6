import { setExecutionStatus } from '@godwit/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keysOf, TIMESTAMP, UUID } from './contract-keys.ts';
import { ServedApi } from './served-api.ts';

let api: ServedApi;
let transfer: string;
let root: string;
beforeAll(async () => {
  api = await ServedApi.start();
  transfer = await api.transfer(api.member, 'clockwork');
  root = `/transfers/${transfer}/schedules`;
});
afterAll(() => api[Symbol.asyncDispose]());

const create = (body: object) => api.member.post(root, body);
const made = async (body: object) => (await create(body)).json().schedule;
const refusal = async (body: object) => {
  const answer = await create(body);
  expect(answer.statusCode).toBe(400);
  return answer.json().error.message as string;
};

describe('a schedule', () => {
  test('has exactly the keys and defaults of the contract', async () => {
    const answer = await create({ schedule: { minute: 30, hour: 2 } });
    expect(answer.statusCode).toBe(200);
    const { schedule } = answer.json();
    expect(Object.keys(schedule).sort()).toEqual(keysOf('schedule'));
    expect(schedule.id).toMatch(UUID);
    expect(schedule.created_at).toMatch(TIMESTAMP);
    expect(schedule).toMatchObject({
      transfer_id: transfer,
      schedule: { minute: 30, hour: 2 },
      enabled: true,
      expiration_date: null,
      shutdown_instance: false,
      auto_deploy: false,
      trust_id: null,
      updated_at: null,
      deleted: '0',
    });
    expect((await api.member.get(`${root}/${schedule.id}`)).json()).toEqual({ schedule });
  });

  test('is listed, without those that are past their expiry when asked', async () => {
    const late = await made({ schedule: { dow: 0 }, expiration_date: '2999-01-01T00:00:00Z' });
    const gone = await made({ schedule: { dow: 1 }, expiration_date: '2999-01-01T00:00:00Z' });
    await api.db
      .updateTable('schedule')
      .set({ expiration_date: new Date('2020-01-01') })
      .where('id', '=', gone.id)
      .execute();
    const ids = async (query: string) =>
      (await api.member.get(`${root}${query}`)).json().schedules.map((one: { id: string }) => one.id);
    expect(await ids('')).toEqual(expect.arrayContaining([late.id, gone.id]));
    expect(await ids('?show_expired=False')).not.toContain(gone.id);
    expect(await ids('?show_expired=False')).toContain(late.id);
    const bad = await api.member.get(`${root}?show_expired=maybe`);
    expect(bad.statusCode).toBe(400);
    expect(bad.json().error.message).toContain("show_expired must be true or false, not 'maybe'");
  });

  test('changes only by what the body names', async () => {
    const { id } = await made({ schedule: { minute: 1 }, auto_deploy: true, expiration_date: '2999-01-01T00:00:00Z' });
    const changed = (await api.member.put(`${root}/${id}`, { schedule: { hour: 3 }, enabled: false })).json().schedule;
    expect(changed).toMatchObject({
      schedule: { hour: 3 },
      enabled: false,
      auto_deploy: true,
      expiration_date: '2999-01-01T00:00:00.000000',
    });
    expect(changed.updated_at).toMatch(TIMESTAMP);
    const cleared = (await api.member.put(`${root}/${id}`, { expiration_date: null })).json().schedule;
    expect(cleared).toMatchObject({ expiration_date: null, schedule: { hour: 3 } });
  });

  test('is deleted, but not while its transfer runs', async () => {
    const { id } = await made({ schedule: { minute: 2 } });
    const run = (await api.member.post(`/transfers/${transfer}/executions`, {})).json().execution;
    const refused = await api.member.delete(`${root}/${id}`);
    expect(refused.statusCode).toBe(400);
    expect(refused.json().error.message).toContain("'RUNNING' state");
    await setExecutionStatus(api.db, run.id, 'CANCELED');
    expect((await api.member.delete(`${root}/${id}`)).statusCode).toBe(204);
    expect((await api.member.get(`${root}/${id}`)).statusCode).toBe(404);
  });

  test('of an unknown id, and where the original answers 500, is a 404', async () => {
    for (const answer of [
      await api.member.get(`${root}/nope`),
      await api.member.put(`${root}/nope`, { enabled: true }),
    ]) {
      expect(answer.statusCode).toBe(404);
      expect(answer.json().error.message).toBe("NotFound: Schedule with ID 'nope' not found.");
    }
  });

  test('of another project is not there', async () => {
    const { id } = await made({ schedule: { minute: 5 } });
    const other = await api.transfer(api.admin, 'elsewhere');
    expect((await api.admin.get(`/transfers/${other}/schedules/${id}`)).statusCode).toBe(404);
    expect((await api.member.get(`/transfers/${other}/schedules`)).statusCode).toBe(404);
  });

  test('takes cron with a time zone instead of the fields', async () => {
    const schedule = await made({ schedule: { cron: '*/15  8-18 * * mon-fri', timezone: 'Europe/Berlin' } });
    expect(schedule.schedule).toEqual({ cron: '*/15 8-18 * * mon-fri', timezone: 'Europe/Berlin' });
  });

  test.each([
    [{}, 'schedule is required'],
    [{ schedule: {} }, 'needs at least one of minute, hour, dom, month, dow, or cron'],
    [{ schedule: { schedule: { minute: 1 } } }, 'schedule must not have "schedule"'],
    [{ schedule: { minute: 60 } }, 'schedule.minute must be <= 59'],
    [{ schedule: { dom: 0 } }, 'schedule.dom must be >= 1'],
    [{ schedule: { dow: 7 } }, 'schedule.dow must be <= 6'],
    [{ schedule: { minute: 'x' } }, 'schedule.minute must be integer'],
    [{ schedule: { minute: 1, cron: '* * * * *' } }, 'schedule has cron and minute'],
    [{ schedule: { cron: '0 0 * * *', timezone: 'Middle/Earth' } }, 'is no IANA time zone'],
    [{ schedule: { cron: '1 2 3' } }, 'schedule.cron "1 2 3": '],
    [{ schedule: { cron: 'every day at noon' } }, 'schedule.cron "every day at noon": '],
    [{ schedule: { cron: '0 0 30 2 *' } }, 'fits no moment'],
    [{ schedule: { minute: 1 }, enabled: 'yes' }, 'enabled must be boolean'],
    [{ schedule: { minute: 1 }, expiration_date: 'tomorrow' }, 'is not an RFC 3339 date and time'],
    [{ schedule: { minute: 1 }, expiration_date: '2999-02-31T00:00:00Z' }, 'is not an RFC 3339 date and time'],
    [{ schedule: { minute: 1 }, expiration_date: '2001-01-01T00:00:00Z' }, 'expiration_date is in the past'],
  ])('%j is refused with what is wrong', async (body, reason) => {
    expect(await refusal(body)).toContain(reason);
  });
});

test('who may not deploy may not have it done by an execution or a schedule either', async () => {
  await using strict = await ServedApi.start({
    config: { policies: { 'migration:deployments:create': 'role:admin' } },
  });
  const [origin, destination] = [await strict.endpoint(strict.member, 'a'), await strict.endpoint(strict.member, 'b')];
  const ends = { origin_endpoint_id: origin, destination_endpoint_id: destination, instances: ['web01'] };
  const made = await strict.member.post('/transfers', { transfer: { scenario: 'replica', ...ends } });
  const route = `/transfers/${made.json().transfer.id}`;
  const plain = { schedule: { hour: 1 }, enabled: false };
  const refusal = "PolicyNotAuthorized: Policy doesn't allow migration:deployments:create to be performed.";
  const schedule = await strict.member.post(`${route}/schedules`, plain);
  expect(schedule.statusCode).toBe(200);
  const refused = [
    await strict.member.post(`${route}/executions`, { execution: { auto_deploy: true } }),
    await strict.member.post(`${route}/schedules`, { ...plain, auto_deploy: true }),
    await strict.member.put(`${route}/schedules/${schedule.json().schedule.id}`, { auto_deploy: true }),
  ];
  expect(refused.map(({ statusCode }) => statusCode)).toEqual([403, 403, 403]);
  expect(refused.map((answer) => answer.json().error.message)).toEqual([refusal, refusal, refusal]);
  const changed = await strict.member.put(`${route}/schedules/${schedule.json().schedule.id}`, { auto_deploy: false });
  expect(changed.statusCode).toBe(200);
});
