import { Type } from 'typebox';
import { Exact, FreeObject } from './json.ts';

const Diagnostic = Exact('Diagnostic', {
  application: Type.String(),
  hostname: Type.String(),
  ip_addresses: Type.Array(Type.String()),
  packages: Type.Array(Type.String()),
  os_info: FreeObject(),
});
export const DiagnosticsAnswer = Exact('DiagnosticsAnswer', { diagnostics: Type.Array(Diagnostic) });
