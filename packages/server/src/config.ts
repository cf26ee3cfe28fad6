import { isIP } from 'node:net';
import { homedir } from 'node:os';
import path from 'node:path';
import { GodwitError } from '@godwit/domain';
import { MOST_NICE } from './niceness.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Everything that a process of Godwit is told from outside. */
export interface Config {
  /** GODWIT_HOME, absolute: database, keys, openrc. */
  home: string;
  /** GODWIT_LISTEN. */
  listen: { host: string; port: number };
  /** Root under which clients reach the API, no slash at the end; absent: as each request names it. */
  publicUrl?: string;
  /** Addresses and networks whose X-Forwarded-For is believed. */
  trustedProxies: string[];
  /** Absent: the embedded Postgres under `home`. Holds a password. */
  databaseUrl?: string;
  /** Whose tokens count: Godwit's own, or those of the Keystone that `keystone.yaml` in the home names. */
  auth: 'local' | 'keystone';
  /** Name of the region that the worker serves; absent: endpoints without one. */
  region?: string;
  /** Fixed port of the embedded Postgres; absent: a random one, kept. */
  postgresPort?: number;
  logLevel: LogLevel;
  /** How far the worker of `server all` stands back when the processors are busy: 0 to 19. */
  workerNiceness: number;
}

export const SETTINGS_HELP = `Settings (environment):
  GODWIT_HOME        folder for database, keys and openrc        [~/.local/share/godwit]
  GODWIT_LISTEN      HOST:PORT of the API                         [127.0.0.1:7000]
  GODWIT_PUBLIC_URL  root URL under which clients reach the API   [as each request names it]
  GODWIT_TRUSTED_PROXIES  addresses or networks (CIDR), with commas, of proxies
                     whose X-Forwarded-For tells who the client is  [none]
  DATABASE_URL       postgres://USER:PASSWORD@HOST:PORT/DATABASE  [embedded Postgres]
  GODWIT_PG_PORT     port of the embedded Postgres                [random, kept]
  GODWIT_AUTH        local, or keystone (see docs/identity.md)    [local]
  GODWIT_REGION      region that the worker serves                [none]
  GODWIT_WORKER_NICENESS
                     how far the worker of "all" stands back    [10]
                     for the API on busy processors: 0 to 19
  GODWIT_LOG         ${LOG_LEVELS.join(', ')}              [info]
`;

/**
 * Reads and checks the settings. An empty variable counts as unset.
 *
 * @throws GodwitError CONFIG_INVALID, naming the variable
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const value = (name: string): string | undefined => (env[name] === '' ? undefined : env[name]);
  const publicUrl = value('GODWIT_PUBLIC_URL');
  const databaseUrl = value('DATABASE_URL');
  const region = value('GODWIT_REGION');
  const postgresPort = value('GODWIT_PG_PORT');
  return {
    home: path.resolve(value('GODWIT_HOME') ?? path.join(homedir(), '.local', 'share', 'godwit')),
    listen: readListen(value('GODWIT_LISTEN') ?? '127.0.0.1:7000'),
    auth: readChoice('GODWIT_AUTH', value('GODWIT_AUTH') ?? 'local', ['local', 'keystone']),
    trustedProxies: readProxies(value('GODWIT_TRUSTED_PROXIES') ?? ''),
    logLevel: readChoice('GODWIT_LOG', value('GODWIT_LOG') ?? 'info', LOG_LEVELS),
    workerNiceness: readNiceness('GODWIT_WORKER_NICENESS', value('GODWIT_WORKER_NICENESS') ?? '10'),
    ...(publicUrl !== undefined && { publicUrl: readPublicUrl(publicUrl) }),
    ...(databaseUrl !== undefined && { databaseUrl: checkDatabaseUrl(databaseUrl) }),
    ...(region !== undefined && { region: checkRegion('GODWIT_REGION', region) }),
    ...(postgresPort !== undefined && { postgresPort: readPort('GODWIT_PG_PORT', postgresPort) }),
  };
}

/** A region's name as given by a person. */
export function checkRegion(setting: string, name: string): string {
  if (!/^[\w.:-]{1,64}$/.test(name)) {
    throw wrong(setting, `a region is named by 1 to 64 letters, digits or any of _ . : -, not by ${quote(name)}`);
  }
  return name;
}

/** URL of the API for a client on this machine. */
export function localUrl(listen: Config['listen']): string {
  const any = listen.host === '0.0.0.0' || listen.host === '::';
  const host = any ? '127.0.0.1' : listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return `http://${host}:${listen.port}`;
}

function readListen(text: string): Config['listen'] {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d+)$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || match?.[3] === undefined) {
    throw wrong('GODWIT_LISTEN', `HOST:PORT or [IPV6]:PORT is wanted, not ${quote(text)}`);
  }
  return { host, port: readPort('GODWIT_LISTEN', match[3]) };
}

function readPort(setting: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw wrong(setting, `a port is a number from 1 to 65535, not ${quote(text)}`);
  return port;
}

function readNiceness(setting: string, text: string): number {
  const niceness = /^\d{1,2}$/.test(text) ? Number(text) : MOST_NICE + 1;
  if (niceness > MOST_NICE) throw wrong(setting, `a whole number from 0 to ${MOST_NICE} is wanted, not ${quote(text)}`);
  return niceness;
}

function readChoice<const T extends string>(setting: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((c) => c === text);
  if (choice === undefined) throw wrong(setting, `${quote(text)} is none of ${choices.join(', ')}`);
  return choice;
}

function readPublicUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw wrong('GODWIT_PUBLIC_URL', 'an http:// or https:// URL without query is wanted');
  }
  return url.href.replace(/\/+$/, '');
}

function readProxies(text: string): string[] {
  const proxies = text.split(',').map((one) => one.trim());
  return proxies.filter((one) => one !== '').map(checkProxy);
}

function checkProxy(text: string): string {
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address);
  const widest = family === 6 ? 128 : 32;
  const fits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= widest);
  if (family !== 0 && fits && more.length === 0) return text;
  throw wrong('GODWIT_TRUSTED_PROXIES', `an address or a network such as 10.0.0.0/24 is wanted, not ${quote(text)}`);
}

/** Never quoted in the message: it holds a password. */
function checkDatabaseUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol) || url.pathname.length < 2) {
    throw wrong('DATABASE_URL', 'postgres://USER:PASSWORD@HOST:PORT/DATABASE is wanted');
  }
  return text;
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 80));
const wrong = (setting: string, reason: string): GodwitError => new GodwitError('CONFIG_INVALID', setting, { reason });
