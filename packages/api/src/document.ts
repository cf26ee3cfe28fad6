import type { EngineClient } from '@godwit/engine';
import { connect, type SecretBox } from '@godwit/store';
import { buildApi } from './api.ts';

/**
 * The OpenAPI document, without anything running: routes are only described, none is ever called.
 *
 * @param version of Godwit
 */
export async function apiDocument(version: string): Promise<object> {
  const connection = connect('postgres://nobody@127.0.0.1:1/nothing');
  const app = await buildApi({
    connection,
    engine: {} as EngineClient,
    secrets: {} as SecretBox,
    providers: [],
    config: { version },
  });
  const document = app.swagger();
  await app.close();
  await connection.close();
  return document;
}
