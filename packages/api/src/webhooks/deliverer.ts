import {
  claimDelivery,
  type Db,
  type DeliveryOutcome,
  dueWebhooks,
  getWebhook,
  makeDeliveries,
  openWebhookSecret,
  purgeDeliveries,
  releaseDelivery,
  type SecretBox,
  settleDelivery,
  type WebhookDelivery,
} from '@godwit/store';
import type { FastifyBaseLogger } from 'fastify';
import { eventToWire } from '../wire/event.ts';
import { type Answer, send } from './send.ts';
import { signedHeaders } from './signature.ts';

/** Milliseconds, but for `attempts`. */
export interface WebhookTimes {
  /** Between looks for events and for what is due. Default 1,000. */
  look: number;
  /** Until a receiver must have answered. Default 10,000. */
  answer: number;
  /** Before the second attempt; doubles from there. Default 5,000. */
  first: number;
  /** Between attempts at most. Default 3,600,000 (an hour). */
  most: number;
  /** Then it is given up: with the other defaults, after about a day. Default 33. */
  attempts: number;
}

const TIMES: WebhookTimes = { look: 1_000, answer: 10_000, first: 5_000, most: 3_600_000, attempts: 33 };
/** Receivers that are spoken to at the same time: in all, and of one project, whose hanging ones must leave room for others. */
const MOST_LANES = 32;
const MOST_LANES_OF_A_PROJECT = 16;
/** Milliseconds beyond the answer's limit until a claim is somebody else's. */
const LEASE = 30_000;
/** Days that deliveries are kept once they have ended, and milliseconds between looks for older ones. */
const KEPT_DAYS = 7;
const PURGE_EVERY = 3_600_000;

/**
 * The pause after a failed attempt in milliseconds, or undefined to give up. Pure.
 *
 * @param attempts made so far, 1 and up
 * @param random 0 to 1: spreads the pause over its upper half, so that many do not come back at once
 */
export function pauseAfter(attempts: number, times: WebhookTimes, random: number): number | undefined {
  if (attempts >= times.attempts) return undefined;
  const whole = Math.min(times.first * 2 ** (attempts - 1), times.most);
  return whole * (0.5 + random / 2);
}

export interface DelivererOptions {
  db: Db;
  secrets: SecretBox;
  log: FastifyBaseLogger;
  /** Of Godwit, for receivers' logs. */
  version: string;
  times?: Partial<WebhookTimes>;
}

/**
 * Tells webhooks what happened, at least once. Any number of processes may run one: what each sends it has claimed in the
 * database. A receiver hears one thing after the other from a process; one that is slow or broken holds up nobody else.
 */
export class WebhookDeliverer {
  readonly #options: DelivererOptions;
  readonly #times: WebhookTimes;
  /** Under way, by webhook. */
  readonly #lanes = new Map<string, { project: string; done: Promise<void> }>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #purged = 0;

  constructor(options: DelivererOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Breaks off what is under way; it is delivered again by whoever comes next. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await Promise.all([...this.#lanes.values()].map((lane) => lane.done));
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#look();
      } catch (error) {
        this.#options.log.warn({ err: error }, 'webhooks wait: the database cannot be read');
      }
      await pause(this.#times.look, signal);
    }
  }

  async #look(): Promise<void> {
    const { db } = this.#options;
    while (await makeDeliveries(db, (event) => ({ ...eventToWire(event) }))) if (this.#stop.signal.aborted) return;
    const passed = { webhooks: [...this.#lanes.keys()], projects: this.#fullProjects() };
    for (const { id, project_id: project } of await dueWebhooks(db, MOST_LANES, passed)) {
      if (this.#stop.signal.aborted || this.#lanes.size >= MOST_LANES) break;
      if (this.#lanesOf(project) >= MOST_LANES_OF_A_PROJECT) continue;
      const done = this.#empty(id)
        .catch((error: unknown) => this.#options.log.warn({ err: error, webhook: id }, 'a webhook waits'))
        .finally(() => this.#lanes.delete(id));
      this.#lanes.set(id, { project, done });
    }
    if (Date.now() - this.#purged > PURGE_EVERY) {
      this.#purged = Date.now();
      await purgeDeliveries(db, KEPT_DAYS);
    }
  }

  #lanesOf(project: string): number {
    return [...this.#lanes.values()].filter((lane) => lane.project === project).length;
  }

  #fullProjects(): string[] {
    const projects = new Set([...this.#lanes.values()].map((lane) => lane.project));
    return [...projects].filter((project) => this.#lanesOf(project) >= MOST_LANES_OF_A_PROJECT);
  }

  /**
   * Sends what is due to one receiver, until it fails or has had its time: the rest waits for its next turn then, so that
   * one that is slow and never through makes room for others.
   */
  async #empty(webhookId: string): Promise<void> {
    const end = performance.now() + this.#times.answer;
    for (let going = true; going && performance.now() < end && !this.#stop.signal.aborted; ) {
      const delivery = await claimDelivery(this.#options.db, webhookId, this.#times.answer + LEASE);
      if (delivery === undefined) return;
      going = await this.#deliver(delivery);
    }
  }

  async #deliver(delivery: WebhookDelivery): Promise<boolean> {
    const { db, log } = this.#options;
    let answer: Answer;
    try {
      answer = await this.#attempt(delivery);
    } catch (error) {
      if (this.#stop.signal.aborted) {
        await releaseDelivery(db, delivery);
        return false;
      }
      answer = { status: null, error: error instanceof Error ? error.message : String(error) };
    }
    const outcome = this.#outcomeOf(delivery, answer);
    await settleDelivery(db, delivery, outcome);
    if (outcome.state === 'failed') {
      const { id, webhook_id, attempts } = delivery;
      log.warn({ webhook: webhook_id, delivery: id, attempts, error: answer.error }, 'a webhook delivery is given up');
    }
    return answer.error === null;
  }

  async #attempt(delivery: WebhookDelivery): Promise<Answer> {
    const { db, secrets, version } = this.#options;
    const webhook = await getWebhook(db, delivery.webhook_id);
    if (webhook === undefined) return { status: null, error: 'the webhook is gone' };
    const body = JSON.stringify(delivery.body);
    const secret = openWebhookSecret(secrets, webhook);
    const headers = {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'user-agent': `godwit/${version}`,
      ...signedHeaders(secret, delivery.id, Math.floor(Date.now() / 1000), body),
    };
    return send(webhook.url, headers, body, this.#times.answer, this.#stop.signal);
  }

  #outcomeOf(delivery: WebhookDelivery, { status, error }: Answer): DeliveryOutcome {
    if (error === null) return { state: 'delivered', status, error };
    const delayMs = pauseAfter(delivery.attempts, this.#times, Math.random());
    return delayMs === undefined ? { state: 'failed', status, error } : { state: 'waiting', delayMs, status, error };
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal.aborted) done();
    else signal.addEventListener('abort', done);
  });
}
