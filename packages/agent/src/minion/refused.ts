/** Codes of the error catalogue that the agent uses. */
export type RefusalCode = 'NOT_FOUND' | 'FORBIDDEN' | 'CONFLICT' | 'UNSUPPORTED';

/** What the worker asked for and does not get. */
export class RefusedError extends Error {
  readonly code: RefusalCode;
  /** Id of the device. */
  readonly device: string;

  constructor(code: RefusalCode, device: string, reason: string) {
    super(reason);
    this.code = code;
    this.device = device;
  }
}
