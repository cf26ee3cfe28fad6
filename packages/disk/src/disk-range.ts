/** @throws RangeError when the range is not within a disk of that size: a defect of the caller */
export function checkRange(size: number, offset: number, length: number): void {
  const sound = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!sound || offset + length > size) {
    throw new RangeError(`bytes ${offset} to ${offset + length} of a disk of ${size}`);
  }
}
