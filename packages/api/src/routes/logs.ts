import { Readable } from 'node:stream';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { ApiContext } from '../context.ts';
import { type RawQuery, single } from '../list-query.ts';
import { LogFollower, logNames, messageOf, readLog } from '../log-files.ts';
import { badRequest, notFound } from '../request-error.ts';
import { Exact } from '../schemas/json.ts';
import { Params, Query } from '../schemas/params.ts';

const LogsAnswer = Exact('LogsAnswer', { logs: Type.Array(Exact('Log', { log_name: Type.String() })) });

/** Milliseconds between two looks at a log that somebody follows. */
const LOOK = 500;
/** Followers at the same time. */
const MOST_FOLLOWERS = 50;
/** Bytes that may wait for a slow follower; above it the line is cut. */
const MOST_WAITING = 1024 * 1024;

/** The logs of this home's processes, as the logger service beside the original gives them. For administrators. */
export function logRoutes(app: App, { config }: ApiContext): void {
  const folder = config.logFolder;
  const tags = ['logs'];
  let followers = 0;

  async function known(name: string): Promise<string> {
    if (folder === undefined || !(await logNames(folder)).includes(name)) throw notFound('Log', name);
    return folder;
  }

  app.get(
    '/logs/',
    { schema: { operationId: 'listLogs', summary: 'Names of the logs', tags, response: { 200: LogsAnswer } } },
    async () => {
      const names = folder === undefined ? [] : await logNames(folder);
      return { logs: names.map((name) => ({ log_name: name })) };
    },
  );

  app.get(
    '/logs/:log_name/',
    {
      schema: {
        operationId: 'downloadLog',
        summary: 'One log, oldest line first',
        tags,
        params: Params('log_name'),
        querystring: Query({ start_date: 'Seconds since 1970', end_date: 'Seconds since 1970' }),
        produces: ['text/plain'],
        response: { 200: Type.Unsafe<Readable>({ type: 'string' }) },
      },
    },
    async (request, reply) => {
      const from = secondsOf(request.query, 'start_date');
      const to = secondsOf(request.query, 'end_date');
      const name = request.params.log_name;
      const lines = readLog(await known(name), name, {
        ...(from !== undefined && { from: from * 1_000 }),
        ...(to !== undefined && { to: to * 1_000 }),
      });
      return reply.type('text/plain; charset=utf-8').send(Readable.from(lines));
    },
  );

  app.route({
    method: 'GET',
    url: '/ws',
    schema: { hide: true, operationId: 'streamLogs' },
    handler: (_request, reply) => reply.callNotFound(),
    wsHandler: (socket, request) => {
      const query = request.query as RawQuery;
      const name = single(query, 'app_name');
      const worst = Number(single(query, 'severity') ?? 6);
      if (folder === undefined || followers >= MOST_FOLLOWERS || !(worst >= 0 && worst <= 7)) {
        socket.close(1008, 'severity must be 0 to 7, and there is room for few followers');
        return;
      }
      followers++;
      const follow = new Map<string, LogFollower>();
      let asked = Date.now();
      const look = async () => {
        if (Date.now() - asked >= (config.eventHeartbeatMs ?? 15_000)) {
          asked = Date.now();
          if (!(await request.stillAllowed())) return socket.close(1008, 'the token has ended');
        }
        for (const log of (await logNames(folder)).filter((one) => name === undefined || one === name)) {
          const follower = follow.get(log) ?? new LogFollower(folder, log);
          follow.set(log, follower);
          for (const line of await follower.read()) {
            const message = messageOf(line, worst);
            if (message !== undefined) socket.send(JSON.stringify(message));
          }
        }
        if (socket.bufferedAmount > MOST_WAITING) socket.close(1013, 'too slow');
      };
      let timer: NodeJS.Timeout | undefined;
      const next = () => {
        look().then(
          () => {
            if (socket.readyState === socket.OPEN) timer = setTimeout(next, LOOK);
          },
          (error: unknown) => {
            request.log.warn({ err: error }, 'a log could not be followed');
            socket.close(1011);
          },
        );
      };
      socket.on('close', () => {
        clearTimeout(timer);
        followers--;
      });
      next();
    },
  });
}

function secondsOf(query: RawQuery, name: string): number | undefined {
  const text = single(query, name);
  if (text === undefined || text === '') return undefined;
  if (!/^-?\d{1,12}(\.\d+)?$/.test(text)) throw badRequest(`${name} must be seconds since 1970, not ${text}`);
  return Number(text);
}
