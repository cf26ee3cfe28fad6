/** Says at which step a suite is, with the seconds since it began: `[ 123 s] openstack: first execution`. */
export function stepper(suite: string): (step: string) => void {
  const begun = performance.now();
  return (step) => {
    const seconds = Math.round((performance.now() - begun) / 1000);
    // Past the runner's buffer: a step is told while it runs, not when its file has ended.
    process.stderr.write(`[${String(seconds).padStart(4)} s] ${suite}: ${step}\n`);
  };
}
