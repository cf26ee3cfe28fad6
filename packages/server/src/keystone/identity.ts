import type { ApiDeps } from '@godwit/api';
import { SecretBox } from '@godwit/store';
import type { Config } from '../config.ts';
import { homePaths } from '../home.ts';
import { KeystoneAuthenticator } from './authenticator.ts';
import { Barbican } from './barbican.ts';
import { KeystoneClient } from './client.ts';
import { readKeystoneSettings } from './settings.ts';

/** What depends on GODWIT_AUTH: who tokens belong to, and where secrets may lie. */
export interface Identity {
  secrets: SecretBox;
  deps: Pick<ApiDeps, 'authenticator' | 'externalSecrets' | 'authUrl'>;
}

/** @throws GodwitError CONFIG_INVALID, SECRET_KEY_FILE */
export function identityOf(config: Config): Identity {
  const paths = homePaths(config.home);
  const secrets = SecretBox.load(paths.secretKeys);
  if (config.auth === 'local') return { secrets, deps: {} };
  const keystone = new KeystoneClient(readKeystoneSettings(paths.keystone));
  const barbican = new Barbican(keystone);
  secrets.external = (reference) => barbican.read(reference);
  return {
    secrets,
    deps: {
      authenticator: new KeystoneAuthenticator(keystone),
      externalSecrets: barbican,
      authUrl: keystone.url,
    },
  };
}
