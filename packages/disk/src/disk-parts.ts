/**
 * Does a range in parts of at most `part` bytes, `inFlight` at once. Settles only when every started part has settled,
 * so that buffers are free again; after a failure no further part is started.
 *
 * @throws the first failure
 */
export async function inParts(
  offset: number,
  length: number,
  part: number,
  inFlight: number,
  one: (offset: number, length: number) => Promise<unknown>,
): Promise<void> {
  const end = offset + length;
  let next = offset;
  let failure: unknown = null;
  let failed = false;
  const lane = async () => {
    while (next < end && !failed) {
      const at = next;
      const size = Math.min(part, end - at);
      next = at + size;
      try {
        await one(at, size);
      } catch (error) {
        if (!failed) failure = error;
        failed = true;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, Math.ceil(length / part)) }, lane));
  if (failed) throw failure;
}
