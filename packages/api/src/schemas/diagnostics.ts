import { Type } from 'typebox';
import { Exact } from './json.ts';

const Diagnostic = Exact('Diagnostic', {
  application: Type.String(),
  hostname: Type.String(),
  ip_addresses: Type.Array(Type.String()),
  packages: Type.Array(Type.String()),
  os_info: Type.Unknown({ description: 'A text or an object: what the host runs' }),
});
export const DiagnosticsAnswer = Exact('DiagnosticsAnswer', { diagnostics: Type.Array(Diagnostic) });
