import openapiTS, { astToString } from 'openapi-typescript';

const HEADER = '// Generated from openapi.json by "npm run generate". Do not edit.\n\n';

/** TypeScript types of an OpenAPI document. Lives here because the generator needs this workspace's own TypeScript. */
export async function clientTypes(document: object): Promise<string> {
  const ast = await openapiTS(structuredClone(document) as Parameters<typeof openapiTS>[0], {
    alphabetize: true,
    exportType: false,
  });
  return HEADER + astToString(ast);
}
