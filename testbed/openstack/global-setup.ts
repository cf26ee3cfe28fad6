import type { TestProject } from 'vitest/node';
import { startClouds } from './clouds.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Number of the pair of clouds that the suite runs on. */
    cloudsInstance: number;
  }
}

/**
 * Both clouds, up before the first test. Clouds that ran before are used as they are and stay up afterwards; others start
 * empty and are wiped at the end, unless GODWIT_CLOUDS_KEEP=1 asks for their logs and data.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const clouds = await startClouds({ fresh: true, say: (line) => console.log(`clouds ${line}`) });
  project.provide('cloudsInstance', clouds.instance);
  return async () => {
    if (clouds.started && process.env.GODWIT_CLOUDS_KEEP !== '1') await clouds.stop(true);
  };
}
