import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  deleteEndpoint,
  getEndpoint,
  insertEndpoint,
  listEndpoints,
  openConnectionInfo,
  requireKeys,
  rotateSecrets,
  SecretBox,
  sealedKeyId,
  updateEndpoint,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';
import { makeTransfer } from './rows.ts';

let database: TestDatabase;
let folder = '';
let keyFile = '';
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'gwk-'));
  keyFile = path.join(folder, 'keys', 'secrets.json');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const here = { table: 'endpoint', id: 'e1' } as const;

describe('a secret', () => {
  it('opens where it was sealed and nowhere else', () => {
    const box = SecretBox.load(keyFile, true);
    const sealed = box.seal(here, { password: 'hunter2' });
    expect(box.open(here, sealed)).toEqual({ password: 'hunter2' });
    expect(sealed.includes('hunter2')).toBe(false);
    expect(() => box.open({ table: 'endpoint', id: 'e2' }, sealed)).toThrow(/does not open/);
    expect(() => box.open({ table: 'setting', id: 'e1' }, sealed)).toThrow(/does not open/);
  });

  it('is never sealed twice alike', () => {
    const box = SecretBox.load(keyFile, true);
    expect(box.seal(here, 'x').equals(box.seal(here, 'x'))).toBe(false);
  });

  it('does not open when any bit of it was altered', () => {
    const box = SecretBox.load(keyFile, true);
    const sealed = box.seal(here, 'x');
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const altered = Buffer.from(sealed);
      altered[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => box.open(here, altered)).toThrow();
    }
    expect(() => box.open(here, sealed.subarray(0, 20))).toThrow(/does not open/);
  });

  it('names the key that is missing', () => {
    const sealed = SecretBox.load(keyFile, true).seal(here, 'x');
    const other = SecretBox.load(path.join(folder, 'other.json'), true);
    expect(() => other.open(here, sealed)).toThrow(expect.objectContaining({ code: 'SECRET_KEY_MISSING' }));
    expect(sealedKeyId(sealed)).toMatch(/^k[0-9a-f]{12}$/);
  });
});

describe('the key file', () => {
  it('is for its owner alone, and the same for all who start at once', () => {
    const program = `import { SecretBox } from ${JSON.stringify(path.join(import.meta.dirname, '../src/secrets.ts'))};
      console.log(SecretBox.load(${JSON.stringify(keyFile)}, true).keyId);`;
    const script = path.join(folder, 'load.ts');
    writeFileSync(script, program);
    const run = spawnSync('sh', ['-c', 'for i in 1 2 3 4; do "$0" "$1" & done; wait', process.execPath, script], {
      encoding: 'utf8',
    });
    const ids = run.stdout.trim().split('\n');
    expect(ids).toHaveLength(4);
    expect(new Set(ids).size).toBe(1);
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    expect(statSync(path.dirname(keyFile)).mode & 0o777).toBe(0o700);
  });

  it('is refused when it is missing or holds something else', () => {
    const refused = expect.objectContaining({ code: 'SECRET_KEY_FILE' });
    expect(() => SecretBox.load(keyFile)).toThrow(refused);
    for (const text of ['', '{}', '{"current":"a","keys":{"a":"c2hvcnQ="}}', '{"current":"b","keys":{}}']) {
      const file = path.join(folder, 'bad.json');
      writeFileSync(file, text);
      expect(() => SecretBox.load(file)).toThrow(refused);
    }
  });
});

const endpoint = (password: string) => ({
  projectId: 'p1',
  userId: 'u1',
  name: 'lab',
  type: 'libvirt',
  connectionInfo: { uri: 'qemu+ssh://lab/system', password },
  publicInfo: { uri: 'qemu+ssh://lab/system' },
});

describe('an endpoint', () => {
  it('keeps its connection sealed: what a reader of the database sees holds no password', async () => {
    const box = SecretBox.load(keyFile, true);
    const { id } = await insertEndpoint(database.db, box, endpoint('correct horse'));
    const row = await database.db.selectFrom('endpoint').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    expect(JSON.stringify(row)).not.toContain('correct horse');
    expect(row.connection_secret?.includes('correct horse')).toBe(false);
    expect(Object.keys((await listEndpoints(database.db, 'p1'))[0]!)).not.toContain('connection_secret');
    expect(await openConnectionInfo(database.db, box, id)).toEqual(endpoint('correct horse').connectionInfo);
    await updateEndpoint(database.db, box, id, {
      connectionInfo: { uri: 'x', password: 'new' },
      publicInfo: { uri: 'x' },
    });
    expect(await openConnectionInfo(database.db, box, id)).toEqual({ uri: 'x', password: 'new' });
    expect(await getEndpoint(database.db, id, 'p2')).toBeUndefined();
  });

  it('does not open with the secret of another endpoint', async () => {
    const box = SecretBox.load(keyFile, true);
    const mine = await insertEndpoint(database.db, box, endpoint('mine'));
    const theirs = await insertEndpoint(database.db, box, endpoint('theirs'));
    await database.pool.query(
      'update endpoint set connection_secret = (select connection_secret from endpoint where id = $1) where id = $2',
      [theirs.id, mine.id],
    );
    await expect(openConnectionInfo(database.db, box, mine.id)).rejects.toMatchObject({ code: 'SECRET_CORRUPT' });
  });

  it('stays while transfers need it', async () => {
    const box = SecretBox.load(keyFile, true);
    const { id } = await insertEndpoint(database.db, box, endpoint('x'));
    await makeTransfer(database.db, { origin_endpoint_id: id, destination_endpoint_id: id });
    await expect(deleteEndpoint(database.db, id)).rejects.toMatchObject({
      code: 'ENDPOINT_IN_USE',
      message: expect.stringContaining('1 transfers would be orphaned!'),
    });
    const free = await insertEndpoint(database.db, box, endpoint('x'));
    expect(await deleteEndpoint(database.db, free.id)).toBe(true);
    expect(await getEndpoint(database.db, free.id)).toBeUndefined();
  });
});

describe('a rotation', () => {
  /** Removes what other tests sealed with keys that are gone. */
  beforeEach(async () => {
    await database.pool.query('update endpoint set connection_secret = null');
  });

  it('seals everything anew, and processes that hold the old keys go on', async () => {
    const box = SecretBox.load(keyFile, true);
    const old = box.keyId;
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await insertEndpoint(database.db, box, endpoint(`password ${i}`))).id);
    const place = { table: 'setting', id: `key of ${folder}` } as const;
    const sealed = box.seal(place, 'signing key');
    await database.pool.query('insert into setting (key, sealed) values ($1, $2)', [place.id, sealed]);
    const rotation = await rotateSecrets(database, keyFile);
    expect(rotation).toMatchObject({ resealed: 6 });
    for (const [i, id] of ids.entries()) {
      expect(await openConnectionInfo(database.db, box, id)).toMatchObject({ password: `password ${i}` });
      const row = await database.db.selectFrom('endpoint').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
      expect(sealedKeyId(row.connection_secret!)).toBe(rotation.keyId);
    }
    const { rows } = await database.pool.query('select sealed from setting where key = $1', [place.id]);
    expect(box.open(place, rows[0].sealed)).toBe('signing key');
    expect(sealedKeyId(box.seal(here, 'x'))).toBe(rotation.keyId);
    await rotateSecrets(database, keyFile);
    expect(readFileSync(keyFile, 'utf8')).not.toContain(old);
    expect(await openConnectionInfo(database.db, box, ids[0]!)).toMatchObject({ password: 'password 0' });
    await database.pool.query('delete from setting where key = $1', [place.id]);
  });

  it('that was interrupted is finished by the next one', async () => {
    const box = SecretBox.load(keyFile, true);
    const first = await insertEndpoint(database.db, box, endpoint('first'));
    SecretBox.addKey(keyFile);
    const second = await insertEndpoint(database.db, box, endpoint('second'));
    expect(await rotateSecrets(database, keyFile)).toMatchObject({ resealed: 2 });
    expect(await openConnectionInfo(database.db, SecretBox.load(keyFile), first.id)).toMatchObject({
      password: 'first',
    });
    expect(await openConnectionInfo(database.db, SecretBox.load(keyFile), second.id)).toMatchObject({
      password: 'second',
    });
  });

  it('or a start with the keys of another installation is refused before anything is lost', async () => {
    const box = await requireKeys(database, keyFile);
    const { id } = await insertEndpoint(database.db, box, endpoint('x'));
    expect((await requireKeys(database, keyFile)).keyId).toBe(box.keyId);
    const other = path.join(folder, 'other.json');
    await expect(requireKeys(database, other)).rejects.toMatchObject({ code: 'SECRET_KEY_FILE' });
    expect(existsSync(other)).toBe(false);
    SecretBox.load(other, true);
    await expect(requireKeys(database, other)).rejects.toMatchObject({ code: 'SECRET_KEY_MISSING' });
    expect(await openConnectionInfo(database.db, box, id)).toMatchObject({ password: 'x' });
  });

  it('forgets no key when a secret does not open', async () => {
    const box = SecretBox.load(keyFile, true);
    const old = box.keyId;
    const { id } = await insertEndpoint(database.db, box, endpoint('x'));
    await database.pool.query(
      "update endpoint set connection_secret = connection_secret || '\\x00'::bytea where id = $1",
      [id],
    );
    await expect(rotateSecrets(database, keyFile)).rejects.toMatchObject({ code: 'SECRET_CORRUPT' });
    expect(readFileSync(keyFile, 'utf8')).toContain(old);
  });
});
