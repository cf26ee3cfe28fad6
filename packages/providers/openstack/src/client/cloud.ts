import { BlockStorage } from './block-storage.ts';
import { Compute } from './compute.ts';
import { Images } from './image.ts';
import { Networking } from './network.ts';
import type { Session } from './session.ts';

/** Milliseconds that cleaning up may take. */
const CLEANUP_MS = 300_000;

/** One cloud as one identity sees it, for the length of a call. */
export class Cloud {
  readonly session: Session;
  readonly signal: AbortSignal;
  readonly label: string;
  readonly compute: Compute;
  readonly volumes: BlockStorage;
  readonly images: Images;
  readonly network: Networking;

  constructor(session: Session, signal: AbortSignal, label: string) {
    this.session = session;
    this.signal = signal;
    this.label = label;
    this.compute = new Compute(session, signal, label);
    this.volumes = new BlockStorage(session, signal, label);
    this.images = new Images(session, signal, label);
    this.network = new Networking(session, signal, label);
  }

  /** The same cloud for work that must be done although the call was called off: giving back what was taken. */
  unaborted(): Cloud {
    return new Cloud(this.session, AbortSignal.timeout(CLEANUP_MS), this.label);
  }

  async projectId(): Promise<string> {
    return (await this.session.token(this.signal)).projectId;
  }
}
