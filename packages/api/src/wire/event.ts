import type { EventCursor, StoredEvent } from '@godwit/store';

/** An event as its `data` line carries it. */
export function eventToWire(event: StoredEvent) {
  return {
    id: eventId(event),
    at: event.at.toISOString(),
    type: event.type,
    project_id: event.project_id,
    object_type: event.object_type,
    object_id: event.object_id,
    payload: event.payload,
  };
}

/** The place of an event in the stream, as `id:` tells it and `Last-Event-ID` gives it back. */
export function eventId({ xid, id }: EventCursor): string {
  return `${xid}-${id}`;
}

/** The place that a client names, or undefined when it is none of ours. */
export function cursorOf(text: string): EventCursor | undefined {
  const match = /^(\d{1,19})-(\d{1,15})$/.exec(text);
  return match ? { xid: match[1]!, id: Number(match[2]) } : undefined;
}

/** One message of a stream of server-sent events. */
export function eventMessage(event: StoredEvent): string {
  return `id: ${eventId(event)}\nevent: ${event.type}\ndata: ${JSON.stringify(eventToWire(event))}\n\n`;
}
