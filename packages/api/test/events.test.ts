import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  appendEvent,
  assignRole,
  FIRST_EVENT,
  hasEventsAfter,
  insertUser,
  inTransaction,
  lastEvent,
  readEvents,
} from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Client, ServedApi, signIn } from './served-api.ts';

let api: ServedApi;
let base: string;
beforeAll(async () => {
  api = await ServedApi.start({ config: { eventHeartbeatMs: 50, eventReaders: { all: 8, project: 6, user: 4 } } });
  await api.app.listen({ host: '127.0.0.1', port: 0 });
  base = `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}`;
});
afterAll(() => api[Symbol.asyncDispose]());

interface Seen {
  id: string;
  event: string;
  data: { object_id: string; project_id: string; payload: { n: number } };
}

/** An open stream and what came through it. */
class Reader implements AsyncDisposable {
  readonly messages: Seen[] = [];
  comments = 0;
  readonly #abort = new AbortController();
  readonly response: Promise<Response>;
  readonly done: Promise<void>;

  constructor(client: Client, query = '', headers: Record<string, string> = {}) {
    this.response = fetch(`${base}/v1/events${query}`, {
      headers: { 'x-auth-token': client.token, ...headers },
      signal: this.#abort.signal,
    });
    this.done = this.#read().catch((error: unknown) => {
      if (!this.#abort.signal.aborted) throw error;
    });
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of (await this.response).body!) {
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const fields = Object.fromEntries(
          block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
        );
        if (fields.id === undefined) this.comments++;
        else this.messages.push({ id: fields.id, event: fields.event!, data: JSON.parse(fields.data!) });
      }
    }
  }

  async until(holds: () => boolean): Promise<void> {
    for (const end = Date.now() + 30_000; !holds(); await sleep(10)) {
      if (Date.now() > end) throw new Error(`never; seen ${JSON.stringify(this.messages)}`);
    }
  }

  numbers = () => this.messages.map((message) => message.data.payload.n);

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.done;
  }
}

const say = (projectId: string | null, n: number, objectId = 'object', type = 'task.updated') =>
  appendEvent(api.db, { projectId, type, objectType: 'task', objectId, payload: { n } });

/** Waits until everything said is visible: transactions of other tests in the same Postgres may hold it back a moment. */
async function settled(): Promise<void> {
  while (await hasEventsAfter(api.db, await lastEvent(api.db))) await sleep(10);
}

/** Waits until the server has noticed that all readers have left. */
async function left(): Promise<void> {
  while (!/^godwit_event_streams 0$/m.test((await api.admin.request('GET', '/metrics')).body)) await sleep(10);
}

describe('the event stream', () => {
  beforeEach(async () => {
    await left();
    await settled();
  });

  test('tells what happens from now on, in the words of the store', async () => {
    await say(api.member.projectId, 1);
    await settled();
    await using reader = new Reader(api.member);
    expect((await reader.response).headers.get('content-type')).toMatch(/^text\/event-stream/);
    await reader.until(() => reader.comments > 0);
    await say(api.member.projectId, 2);
    await reader.until(() => reader.messages.length > 0);
    expect(reader.numbers()).toEqual([2]);
    const [{ id, event, data }] = reader.messages as [Seen];
    expect(id).toMatch(/^\d+-\d+$/);
    expect(event).toBe('task.updated');
    expect(data).toMatchObject({ id, type: 'task.updated', object_type: 'task', object_id: 'object' });
  });

  test('keeps the connection alive with comments', async () => {
    await using reader = new Reader(api.member);
    await reader.until(() => reader.comments >= 3);
    expect(reader.messages).toEqual([]);
  });

  test('shows a project its own events and those for everybody; administrators all', async () => {
    await using member = new Reader(api.member);
    await using admin = new Reader(api.admin);
    await Promise.all([member, admin].map((reader) => reader.until(() => reader.comments > 0)));
    await say('another project', 10);
    await say(api.member.projectId, 11);
    await say(null, 12);
    await Promise.all([member.until(() => member.messages.length >= 2), admin.until(() => admin.messages.length >= 3)]);
    expect(member.numbers()).toEqual([11, 12]);
    expect(admin.numbers()).toEqual([10, 11, 12]);
  });

  test('goes on after the last seen event without a gap or a double, while more happens', async () => {
    let said = 100;
    const more = async (count: number) => {
      for (let i = 0; i < count; i++) await say(api.member.projectId, said++);
    };
    const seen: number[] = [];
    let last = '';
    {
      await using first = new Reader(api.member);
      await first.until(() => first.comments > 0);
      await more(20);
      await first.until(() => first.messages.length >= 5);
      const taken = first.messages.slice(0, 5);
      seen.push(...taken.map((message) => message.data.payload.n));
      last = taken.at(-1)!.id;
    }
    const writing = more(200);
    await using second = new Reader(api.member, '', { 'last-event-id': last });
    await writing;
    await second.until(() => second.messages.length >= 215);
    seen.push(...second.numbers());
    expect(seen).toEqual(Array.from({ length: 220 }, (_, i) => 100 + i));
  });

  test('passes over no event that was written early and committed late', async () => {
    await using reader = new Reader(api.member);
    await reader.until(() => reader.comments > 0);
    const opened = Promise.withResolvers<void>();
    const commit = Promise.withResolvers<void>();
    const late = inTransaction(api.db, async (trx) => {
      await appendEvent(trx, {
        projectId: api.member.projectId,
        type: 'x',
        objectType: 'x',
        objectId: 'x',
        payload: { n: 500 },
      });
      opened.resolve();
      await commit.promise;
    });
    await opened.promise;
    await say(api.member.projectId, 501);
    commit.resolve();
    await late;
    await reader.until(() => reader.messages.length >= 2);
    expect(reader.numbers().sort()).toEqual([500, 501]);
  });

  test('ends with its token, and the others go on', async () => {
    const guest = await signIn(api.app, 'mona', 'member of tenant', api.member.projectId);
    await using stays = new Reader(api.member);
    await using leaves = new Reader(guest);
    await Promise.all([stays, leaves].map((reader) => reader.until(() => reader.comments > 2)));
    const revoked = await guest.request('DELETE', '/identity/v3/auth/tokens', undefined, {
      'x-subject-token': guest.token,
    });
    expect(revoked.statusCode).toBe(204);
    await leaves.done;
    const seen = stays.comments;
    await stays.until(() => stays.comments > seen + 2);
    await say(api.member.projectId, 77);
    await stays.until(() => stays.numbers().includes(77));
    expect(leaves.numbers()).not.toContain(77);
  });

  test('ends for an administrator who is one no longer', async () => {
    const user = await insertUser(api.db, {
      name: 'deposed',
      password: 'was somebody once',
      defaultProjectId: api.admin.projectId,
    });
    await assignRole(api.db, user.id, api.admin.projectId, 'admin');
    await assignRole(api.db, user.id, api.admin.projectId, 'member');
    const deposed = await signIn(api.app, 'deposed', 'was somebody once', api.admin.projectId);
    await using reader = new Reader(deposed);
    await reader.until(() => reader.comments > 0);
    const place = `/identity/v3/projects/${api.admin.projectId}/users/${user.id}/roles/admin`;
    expect((await api.admin.request('DELETE', place)).statusCode).toBe(204);
    await reader.done;
  });

  test('can be narrowed by type and object', async () => {
    await using reader = new Reader(api.member, '?type=execution,progress&object_id=mine');
    await reader.until(() => reader.comments > 0);
    await say(api.member.projectId, 601, 'mine', 'execution.updated');
    await say(api.member.projectId, 602, 'other', 'execution.updated');
    await say(api.member.projectId, 603, 'mine', 'task.updated');
    await say(api.member.projectId, 604, 'mine', 'progress');
    await reader.until(() => reader.messages.length >= 2);
    expect(reader.numbers()).toEqual([601, 604]);
  });

  test('begins at the oldest kept event when asked', async () => {
    const all = await readEvents(api.db, api.member.projectId, FIRST_EVENT, 1_000);
    await using reader = new Reader(api.member, '?last_event_id=0');
    await reader.until(() => reader.messages.length >= all.length);
    expect(reader.messages.map((message) => message.id)).toEqual(all.map((event) => `${event.xid}-${event.id}`));
  });

  test('refuses a place that is none of its own', async () => {
    expect((await api.member.get('/events', { 'last-event-id': 'yesterday' })).statusCode).toBe(400);
  });

  test('takes so many readers of a user, of a project and in all, and keeps room for others', async () => {
    const project = api.member.projectId;
    const user = await insertUser(api.db, { name: 'nora', password: 'colleague of mona', defaultProjectId: project });
    await assignRole(api.db, user.id, project, 'member');
    const colleague = await signIn(api.app, 'nora', 'colleague of mona', project);
    await using readers = new AsyncDisposableStack();
    const enter = async (client: Client, count: number) => {
      const come = Array.from({ length: count }, () => readers.use(new Reader(client)));
      await Promise.all(come.map((reader) => reader.until(() => reader.comments > 0)));
    };
    const refusal = async (client: Client) => {
      const answer = await client.get(`/${client.projectId}/events`);
      expect(JSON.parse(String(answer.headers['x-godwit-error']))).toMatchObject({ code: 'BUSY' });
      expect(answer.json().error).toMatchObject({ fault: 'serviceUnavailable', code: 503 });
      return answer.json().error.message;
    };
    await enter(api.member, 4);
    expect(await refusal(api.member)).toContain('of this user (4)');
    await enter(colleague, 2);
    expect(await refusal(colleague)).toContain('of this project (6)');
    await enter(api.admin, 2);
    expect(await refusal(api.admin)).toContain('too many readers (8)');
  });

  test('counts those who come at the same moment', async () => {
    await using readers = new AsyncDisposableStack();
    const come = Array.from({ length: 12 }, () => readers.use(new Reader(api.member)));
    const answers = await Promise.all(come.map((reader) => reader.response));
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(4);
  });
});

test('a reader that stops reading is sent away when too much waits for it, and its connection goes too', async () => {
  const accepted = once(api.app.server, 'connection');
  const request = get(`${base}/v1/events`, { agent: false, headers: { 'x-auth-token': api.admin.token } });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.pause();
  response.on('error', () => response.destroy());
  const [socket] = (await accepted) as [Socket];
  expect(socket.remotePort).toBe(request.socket?.localPort);
  while (!socket.destroyed) {
    await sql`insert into event (project_id, type, object_type, object_id, payload)
      select null, 'test.flood', 'test', n::text, jsonb_build_object('n', n, 'text', repeat('x', 1000))
      from generate_series(1, 4000) as n`.execute(api.db);
    await appendEvent(api.db, {
      projectId: null,
      type: 'test.flood',
      objectType: 'test',
      objectId: 'last',
      payload: {},
    });
    await sleep(200);
  }
  response.destroy();
});

test('the head of the stream is answered at once, and stays within the rules', async () => {
  const head = await api.member.request('HEAD', '/v1/events');
  expect([head.statusCode, head.body]).toEqual([200, '']);
  expect(head.headers['content-type']).toContain('text/event-stream');
  expect((await api.member.request('HEAD', '/v1/events', undefined, { 'last-event-id': 'x' })).statusCode).toBe(400);
});

test('closing the API ends its streams', async () => {
  const served = await ServedApi.start();
  await served.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = served.app.server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/v1/events`, {
    headers: { 'x-auth-token': served.member.token },
  });
  const text = response.text();
  await served[Symbol.asyncDispose]();
  expect(await text).toContain(': godwit');
});
