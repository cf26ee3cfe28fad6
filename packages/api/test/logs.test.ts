import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ADMIN_PASSWORD, ServedApi, signIn } from './served-api.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'gwlog-'));
const line = (time: string, msg: string, level = 'info') =>
  `${JSON.stringify({ level, time, name: 'api', pid: 1, msg })}\n`;
const OLD = line('2026-11-20T10:00:00.000Z', 'long ago');
const MIDDLE = line('2026-11-21T10:00:00.000Z', 'yesterday');
const NEW = line('2026-11-21T11:00:00.000Z', 'today');

let api: ServedApi;
beforeAll(async () => {
  writeFileSync(path.join(folder, 'api.log.1'), OLD);
  writeFileSync(path.join(folder, 'api.log'), MIDDLE + NEW);
  writeFileSync(path.join(folder, 'worker.log'), '');
  writeFileSync(path.join(folder, 'secret.txt'), 'not a log');
  api = await ServedApi.start({ config: { logFolder: folder, eventHeartbeatMs: 100 } });
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const get = (url: string, client = api.admin) => client.request('GET', `/logs/api/v1${url}`);

describe('the logs', () => {
  test('are in the catalog under the name that clients look for', async () => {
    const answer = await api.app.inject({
      method: 'GET',
      url: '/identity/v3/auth/catalog',
      headers: { 'x-auth-token': api.admin.token },
    });
    const entry = answer.json().catalog.find((one: { type: string }) => one.type === 'coriolis-logger');
    expect(entry.endpoints[0].url).toMatch(/\/logs\/api\/v1$/);
  });

  test('are listed by name', async () => {
    expect((await get('/logs/')).json()).toEqual({ logs: [{ log_name: 'api' }, { log_name: 'worker' }] });
  });

  test('are read whole, the rotated parts first, or by period', async () => {
    expect((await get('/logs/api/')).body).toBe(OLD + MIDDLE + NEW);
    const at = (time: string) => Date.parse(time) / 1_000;
    expect((await get(`/logs/api/?start_date=${at('2026-11-21T10:30:00Z')}`)).body).toBe(NEW);
    expect((await get(`/logs/api/?end_date=${at('2026-11-20T11:00:00Z')}`)).body).toBe(OLD);
    expect((await get('/logs/api/?start_date=soon')).statusCode).toBe(400);
  });

  test.each(['secret', '..%2Fsecret', 'api.log', 'nope'])('give nothing that is no log: %s', async (name) => {
    expect((await get(`/logs/${name}/`)).statusCode).toBe(404);
  });

  test('are for administrators', async () => {
    expect((await get('/logs/', api.member)).statusCode).toBe(403);
    expect((await get('/logs/api/', api.member)).statusCode).toBe(403);
    expect((await api.app.inject('/logs/api/v1/logs/')).statusCode).toBe(401);
  });

  test('are followed over a web socket, as grave as wanted, beyond a rotation', async () => {
    await api.app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = api.app.server.address() as AddressInfo;
    const url = `ws://127.0.0.1:${port}/logs/api/v1/ws?app_name=api&severity=4`;
    const headers = { 'x-auth-token': api.admin.token };
    // Node's own client takes headers, which the standard's does not know.
    const socket = new WebSocket(url, { headers } as unknown as string[]);
    const messages: { app_name: string; message: string }[] = [];
    socket.addEventListener('message', (event) => messages.push(JSON.parse(String(event.data))));
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', reject);
    });
    const file = path.join(folder, 'api.log');
    let n = 0;
    await api.installation.eventually('the first warning arrives', async () => {
      appendFileSync(file, line('2026-11-21T12:00:00.000Z', `trouble ${n++}`, 'warn'));
      appendFileSync(file, line('2026-11-21T12:00:00.000Z', 'chatter'));
      return messages.length > 0;
    });
    renameSync(file, path.join(folder, 'api.log.2'));
    writeFileSync(file, line('2026-11-21T12:01:00.000Z', 'after the rotation', 'error'));
    await api.installation.eventually('the error after the rotation arrives', async () =>
      messages.some((one) => one.message.includes('ERROR after the rotation')),
    );
    expect(messages.every((one) => one.app_name === 'api' && !one.message.includes('chatter'))).toBe(true);
    socket.close();
    const guest = await signIn(api.app, 'admin', ADMIN_PASSWORD, api.admin.projectId);
    const leaves = new WebSocket(url, { headers: { 'x-auth-token': guest.token } } as unknown as string[]);
    await new Promise((resolve) => leaves.addEventListener('open', resolve));
    const ended = new Promise<CloseEvent>((resolve) => leaves.addEventListener('close', resolve));
    await guest.request('DELETE', '/identity/v3/auth/tokens', undefined, { 'x-subject-token': guest.token });
    expect((await ended).code).toBe(1008);
    const plain = await api.app.inject({ url: '/logs/api/v1/ws', headers });
    expect([plain.statusCode, plain.json().code]).toEqual([404, '404 Not Found']);
    const refused = new WebSocket(url, { headers: { 'x-auth-token': api.member.token } } as unknown as string[]);
    await new Promise((resolve) => refused.addEventListener('error', resolve));
  });
});
