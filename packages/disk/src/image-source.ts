/** Disk formats read and written through qemu; `vpc` is VHD. */
export type ImageFormat = 'raw' | 'qcow2' | 'vmdk' | 'vhdx' | 'vpc' | 'vdi';

/** A part of a file that is an image by itself: a member of an OVA archive. Bytes. */
export interface ImageSlice {
  offset: number;
  length: number;
}

/**
 * How qemu's programs are told to open an image: never by guessing its format.
 *
 * A VHD states its size twice, and only some makers keep the cylinder count true: qemu trusts it for unknown makers and
 * would cut the end of the disk off. The other field is right in all of them.
 *
 * @param path absolute
 */
export function imageArguments(
  path: string,
  format: ImageFormat,
  options: { slice?: ImageSlice | undefined; lock?: boolean } = {},
): string[] {
  const { slice, lock = true } = options;
  if (slice === undefined && lock && format !== 'vpc') return ['-f', format, '--', path];
  const at = slice === undefined ? 'file' : 'file.file';
  const parts = [`driver=${format}`];
  if (format === 'vpc') parts.push('force_size_calc=current_size');
  if (slice !== undefined) parts.push('file.driver=raw', `file.offset=${slice.offset}`, `file.size=${slice.length}`);
  parts.push(`${at}.driver=file`, `${at}.filename=${path.replaceAll(',', ',,')}`);
  if (!lock) parts.push(`${at}.locking=off`);
  return ['--image-opts', '--', parts.join(',')];
}
