import { execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { CloudApi, type Credentials } from './cloud-api.ts';

const exec = promisify(execFile);
const program = path.join(import.meta.dirname, 'clouds');

export type CloudName = 'src' | 'dst';

/** Processes of one cloud that can be stopped for failure injection; see `clouds status`. */
export type ServiceName =
  | 'keystone'
  | 'glance'
  | 'placement'
  | 'nova-api'
  | 'nova-scheduler'
  | 'nova-conductor'
  | 'nova-compute'
  | 'neutron-server'
  | 'cinder-api'
  | 'cinder-scheduler'
  | 'cinder-volume'
  | 'barbican'
  | 'linuxbridge-agent'
  | 'dhcp-agent'
  | 'l3-agent'
  | 'metadata-agent';

/** One of the two real OpenStack clouds. */
export interface Cloud {
  readonly name: CloudName;
  /** Keystone's `/v3`. */
  readonly authUrl: string;
  readonly region: string;
  readonly adminCredentials: Credentials;
  /** Id of the public image `guest`, which is also fit for minions. */
  readonly guestImage: string;
  /** Addresses that this machine reaches directly: `172.24.4.0/24`. */
  readonly floating: string;
  /** Folder of the volumes' files, for independent tools. Files, not volumes: a snapshot splits a volume in two. */
  readonly volumesFolder: string;
  /** Folder of Nova's local disks: `ID/disk`. */
  readonly instancesFolder: string;
  /** Logs in as the administrator. */
  admin(): Promise<CloudApi>;
  /** Ends a service: asked nicely, or killed as in a crash. */
  stopService(service: ServiceName, how?: 'TERM' | 'KILL'): Promise<void>;
  /** Starts one that was stopped; when it has a port, it answers there afterwards. */
  startService(service: ServiceName): Promise<void>;
  /** Runs a program inside the cloud's node, where its libvirt and bridges are: `['virsh', 'list']`. */
  inNode(argv: string[]): Promise<string>;
}

/** Both clouds, up and answering. */
export interface Clouds {
  readonly src: Cloud;
  readonly dst: Cloud;
  /** clouds.yaml with the administrators of both (JSON, which is YAML). */
  readonly cloudsFile: string;
  /** True when this call started them, false when they ran already. */
  readonly started: boolean;
  /** Number of this pair on this machine. */
  readonly instance: number;
  /** Starts again whatever was stopped, and waits until each API and agent answers. */
  repair(): Promise<void>;
  /** Ends both; `wipe` removes their data too. */
  stop(wipe?: boolean): Promise<void>;
}

/** Which pair of clouds; see GODWIT_CLOUDS_INSTANCE in the README. */
export interface CloudsOptions {
  /** 0 to 3; default: that of the environment, else the first that no other copy of the project runs. */
  instance?: number;
  /** True: clouds that do not run start empty, whatever an earlier run left. Default false. */
  fresh?: boolean;
  /** Gets each line that the starting says. */
  say?: (line: string) => void;
}

/**
 * Sees to it that both clouds run in real mode (guests boot). Takes seconds when they do, about 90 s when not, some
 * minutes more the first time on a machine: packages, the guest's image, database migrations. Root and Debian 12 only.
 *
 * @throws Error with the last lines when they cannot be started
 */
export async function startClouds(options: CloudsOptions = {}): Promise<Clouds> {
  const asked = options.instance ?? environmentInstance();
  const candidates = asked === undefined ? [0, 1] : [asked];
  let refused: unknown;
  for (const instance of candidates) {
    try {
      return await startPair(instance, options.fresh ?? false, options.say ?? (() => undefined));
    } catch (error) {
      if (!(error instanceof Error && error.message.includes('were started from'))) throw error;
      refused = error;
    }
  }
  throw refused;
}

function environmentInstance(): number | undefined {
  const value = process.env.GODWIT_CLOUDS_INSTANCE;
  return value === undefined ? undefined : Number(value);
}

async function startPair(instance: number, fresh: boolean, say: (line: string) => void): Promise<Clouds> {
  const env = { ...process.env, GODWIT_CLOUDS_INSTANCE: String(instance) };
  const before = await facts(env);
  const ran = before.RUNNING === 'yes';
  if (fresh && !ran) await run(['wipe'], env, say);
  const up = (): Promise<Record<string, string>> => run(['up', '--mode', 'real'], env, say);
  const known = await up();
  return {
    src: cloud('src', known, env),
    dst: cloud('dst', known, env),
    cloudsFile: need(known, 'CLOUDS_FILE'),
    started: !ran,
    instance,
    repair: async () => {
      await up();
    },
    stop: async (wipe = false) => {
      await run([wipe ? 'wipe' : 'down'], env, say);
    },
  };
}

/** The pair that already runs, by its facts alone: nothing is started, nothing is waited for. */
export async function runningClouds(instance: number): Promise<{ src: Cloud; dst: Cloud }> {
  const env = { ...process.env, GODWIT_CLOUDS_INSTANCE: String(instance) };
  const known = await facts(env);
  return { src: cloud('src', known, env), dst: cloud('dst', known, env) };
}

function cloud(name: CloudName, known: Record<string, string>, env: NodeJS.ProcessEnv): Cloud {
  const of = (key: string): string => need(known, `${name.toUpperCase()}_${key}`);
  const adminCredentials: Credentials = {
    authUrl: of('AUTH_URL'),
    region: of('REGION'),
    domain: need(known, 'DOMAIN'),
    user: need(known, 'ADMIN_USER'),
    password: need(known, 'ADMIN_PASSWORD'),
    project: need(known, 'ADMIN_PROJECT'),
  };
  return {
    name,
    authUrl: adminCredentials.authUrl,
    region: adminCredentials.region,
    adminCredentials,
    guestImage: of('GUEST_IMAGE'),
    floating: of('FLOATING'),
    volumesFolder: of('VOLUMES'),
    instancesFolder: of('INSTANCES'),
    admin: () => CloudApi.login(adminCredentials),
    stopService: async (service, how = 'TERM') => {
      await run(['stop', ...(how === 'KILL' ? ['--kill'] : []), `${name}-${service}`], env, () => undefined);
    },
    startService: async (service) => {
      await run(['start', `${name}-${service}`], env, () => undefined);
    },
    inNode: async (argv) => {
      const { stdout } = await exec(program, ['exec', '--cloud', name, '--', ...argv], { env, maxBuffer: 64 << 20 });
      return stdout;
    },
  };
}

async function facts(env: NodeJS.ProcessEnv): Promise<Record<string, string>> {
  return parse((await exec(program, ['facts'], { env })).stdout);
}

/** Runs a verb; gives the NAME=VALUE lines that it prints. */
function run(args: string[], env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<Record<string, string>> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let answer = '';
    let rest = '';
    const told: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        told.push(line);
        say(line);
      }
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(parse(answer));
      else reject(new Error(`clouds ${args.join(' ')} ended with ${code}:\n${[...told.slice(-20), rest].join('\n')}`));
    });
  });
}

function parse(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name ?? '', value ?? '']),
  );
}

function need(known: Record<string, string>, name: string): string {
  const value = known[name];
  if (value === undefined || value === '')
    throw new Error(`the clouds do not tell ${name}; run \`clouds up --mode real\``);
  return value;
}
