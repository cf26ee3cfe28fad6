import { assignRole, ensureAdministrator, insertProject, insertUser } from '@godwit/store';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import { Type } from 'typebox';
import { folderPools } from '../../engine/test/folder-machines.ts';
import { folderProvider } from '../../engine/test/folder-provider.ts';
import { TestInstallation } from '../../engine/test/installation.ts';
import { type ApiConfig, buildApi } from '../src/index.ts';

export const ADMIN_PASSWORD = 'the administrator knows';

/** Of sources only. */
const { destinationSchema: _, ...sourcePools } = folderPools;

/** The folder provider behind a connection with secrets, at the top and below. */
const vaultProvider = {
  ...folderProvider,
  name: 'vault',
  connectionSchema: Type.Object(
    {
      path: Type.String(),
      user: Type.String({ minLength: 1 }),
      password: Type.String({ minLength: 8, writeOnly: true }),
      port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
      proxy: Type.Optional(
        Type.Object({ host: Type.String(), token: Type.Optional(Type.String({ writeOnly: true })) }),
      ),
    },
    { additionalProperties: false },
  ),
  pools: sourcePools,
};

type Body = InjectOptions['payload'];

/** Somebody signed in. */
export class Client {
  readonly #app: FastifyInstance;
  readonly token: string;
  readonly projectId: string;

  constructor(app: FastifyInstance, token: string, projectId: string) {
    this.#app = app;
    this.token = token;
    this.projectId = projectId;
  }

  request(
    method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    payload?: Body,
    headers: Record<string, string> = {},
  ): Promise<LightMyRequestResponse> {
    return this.#app.inject({
      method,
      url: path,
      headers: { 'x-auth-token': this.token, accept: 'application/json', ...headers },
      ...(payload !== undefined && { payload }),
    });
  }

  get = (path: string, headers?: Record<string, string>) => this.request('GET', `/v1${path}`, undefined, headers);
  post = (path: string, payload?: Body) => this.request('POST', `/v1${path}`, payload);
  put = (path: string, payload?: Body) => this.request('PUT', `/v1${path}`, payload);
  delete = (path: string) => this.request('DELETE', `/v1${path}`);
}

/** A whole API on a real database and engine, with an administrator and an ordinary member of another project. */
export class ServedApi implements AsyncDisposable {
  readonly installation: TestInstallation;
  readonly app: FastifyInstance;
  readonly admin: Client;
  readonly member: Client;

  private constructor(installation: TestInstallation, app: FastifyInstance, admin: Client, member: Client) {
    this.installation = installation;
    this.app = app;
    this.admin = admin;
    this.member = member;
  }

  static async start(options: { config?: Partial<ApiConfig>; clock?: () => Date } = {}): Promise<ServedApi> {
    const installation = await TestInstallation.start();
    const { db } = installation;
    const app = await buildApi({
      connection: installation.database,
      engine: installation.engine,
      providers: [folderProvider, vaultProvider],
      secrets: installation.secrets,
      config: { version: '0.1.0', ...options.config },
      ...(options.clock && { clock: options.clock }),
    });
    const administrator = await ensureAdministrator(db, ADMIN_PASSWORD);
    const project = await insertProject(db, { name: 'tenant' });
    const user = await insertUser(db, { name: 'mona', password: 'member of tenant', defaultProjectId: project.id });
    await assignRole(db, user.id, project.id, 'member');
    const admin = await signIn(app, administrator.userName, ADMIN_PASSWORD, administrator.projectId);
    const member = await signIn(app, 'mona', 'member of tenant', project.id);
    return new ServedApi(installation, app, admin, member);
  }

  get db() {
    return this.installation.db;
  }

  /** A folder endpoint of the client's project; its folder exists. */
  async endpoint(client: Client, name: string): Promise<string> {
    const connection_info = { path: this.installation.folder(`${client.projectId}-${name}`) };
    const answer = await client.post('/endpoints', { endpoint: { name, type: 'folder', connection_info } });
    return answer.json().endpoint.id;
  }

  /** A transfer between two new endpoints. */
  async transfer(client: Client, name: string, instances: string[] = ['web01']): Promise<string> {
    const answer = await client.post('/transfers', {
      transfer: {
        origin_endpoint_id: await this.endpoint(client, `${name}-from`),
        destination_endpoint_id: await this.endpoint(client, `${name}-to`),
        instances,
      },
    });
    return answer.json().transfer.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close();
    await this.installation[Symbol.asyncDispose]();
  }
}

/** Signs in as a client would. */
export async function signIn(app: FastifyInstance, name: string, password: string, projectId: string): Promise<Client> {
  const answer = await app.inject({
    method: 'POST',
    url: '/identity/v3/auth/tokens',
    payload: tokenBody(name, password, { project: { id: projectId } }),
  });
  return new Client(app, String(answer.headers['x-subject-token']), projectId);
}

export function tokenBody(name: string, password: string, scope?: unknown) {
  return {
    auth: {
      identity: { methods: ['password'], password: { user: { name, domain: { name: 'Default' }, password } } },
      ...(scope !== undefined && { scope }),
    },
  };
}
