import { GodwitError } from '@godwit/domain';
import { describe, expect, it } from 'vitest';
import { createLog } from '../src/log.ts';

function capture(human: boolean) {
  const lines: string[] = [];
  const log = createLog({ name: 'api', level: 'info', human, write: (line) => void lines.push(line) });
  return { log, lines };
}

describe('the log', () => {
  it('writes one JSON line per record', () => {
    const { log, lines } = capture(false);
    log.info({ transfer: 't1' }, 'copying\nnow');
    log.debug('not asked for');
    expect(lines).toHaveLength(1);
    expect(lines[0]!.endsWith('}\n')).toBe(true);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'info', name: 'api', transfer: 't1', msg: 'copying\nnow' });
    expect(new Date(JSON.parse(lines[0]!).time).getTime()).toBeGreaterThan(0);
  });

  it.each([true, false])('never writes a secret, at whatever depth and in whatever URL (human: %s)', (human) => {
    const { log, lines } = capture(human);
    log.warn({
      password: 'hunter2',
      deep: { list: [{ connection_info: { user: 'hunter2' } }], headers: { 'x-auth-token': 'hunter2' } },
      databaseUrl: 'hunter2',
      why: 'cannot reach postgres://godwit:hunter2@db/godwit',
    });
    log.child({ endpoint: { private_key: 'hunter2' } }).info('cannot reach qemu+ssh://root:hunter2@lab/system');
    log.error({ err: new Error('lost postgres://godwit:hunter2@db/godwit', { cause: new Error('x://a:hunter2@b') }) });
    expect(lines).toHaveLength(3);
    expect(lines.join('')).not.toContain('hunter2');
    expect(lines.join('')).toContain('postgres://godwit:***@db/godwit');
  });

  it('tells of an error what is needed: the code and the remedy, or the stack', () => {
    const { log, lines } = capture(false);
    const ours = new GodwitError('DISK_SHRANK', 'disk vda', { was: 2, is: 1 });
    log.error({ err: ours }, 'failed');
    log.error({ err: new TypeError('x is not a function') }, 'failed');
    expect(JSON.parse(lines[0]!).err).toEqual({ code: ours.code, message: ours.message, remedy: ours.remedy });
    expect(JSON.parse(lines[1]!).err).toMatchObject({
      type: 'TypeError',
      stack: expect.stringContaining('log.test.ts'),
    });
  });

  it('writes lines for people on a terminal', () => {
    const { log, lines } = capture(true);
    log.info({ disk: 'vda', sent: 5 }, 'copying');
    log.error({ err: new GodwitError('DISK_SHRANK', 'disk vda', { was: 2, is: 1 }) }, 'failed');
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} info {2}api {6}copying disk=vda sent=5\n$/);
    expect(lines[1]).toContain('\n    DISK_SHRANK: disk vda shrank from 2 to 1 bytes');
  });

  it('shows control characters of what others wrote, and obeys none', () => {
    const { log, lines } = capture(true);
    log.warn({ vm: 'web\u001b[2J\nERROR api' }, 'gone\r\nINFO all is well');
    log.error({ err: new GodwitError('NOT_FOUND', 'VM \u009b1A\nx') }, 'failed');
    expect(lines[0]).toMatch(/gone\\x0d\\nINFO all is well vm=web\\x1b\[2J\\nERROR api\n$/);
    expect(lines[1]).toContain('VM \\x9b1A\\nx not found');
  });

  it('says the same trouble three times in ten seconds, then how often it came', () => {
    let now = 0;
    const lines: string[] = [];
    const log = createLog({
      name: 'api',
      level: 'info',
      human: false,
      now: () => now,
      write: (line) => void lines.push(line),
    });
    for (let i = 0; i < 50; i++) {
      log.warn({ err: new Error('ECONNREFUSED') }, 'the database is away');
      log.info('progress');
    }
    log.warn({ err: new Error('ECONNRESET') }, 'the database is away');
    const warnings = () => lines.map((line) => JSON.parse(line)).filter((record) => record.level === 'warn');
    expect(warnings()).toHaveLength(4);
    expect(lines).toHaveLength(54);
    now = 10_001;
    log.warn({ err: new Error('ECONNREFUSED') }, 'the database is away');
    expect(warnings().at(-1)).toMatchObject({ repeats_left_out: 47 });
  });
});
