/** One message of a stream of server-sent events. */
export interface StreamMessage {
  /** The last id seen on the stream; '' before the first. */
  id: string;
  /** Default `message`. */
  event: string;
  data: string;
}

/** Parses server-sent events from pieces of text split anywhere. Comments and `retry` are passed over. */
export class EventStreamParser {
  private rest = '';
  private id = '';
  private event = '';
  private data: string[] = [];

  /** The messages that this piece completes. */
  push(piece: string): StreamMessage[] {
    const messages: StreamMessage[] = [];
    const lines = (this.rest + piece).split('\n');
    this.rest = lines.pop() ?? '';
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
      if (line === '') messages.push(...this.complete());
      else this.field(line);
    }
    return messages;
  }

  private field(line: string): void {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.data.push(value);
    else if (name === 'event') this.event = value;
    else if (name === 'id') this.id = value;
  }

  private complete(): StreamMessage[] {
    const { data, event } = this;
    this.data = [];
    this.event = '';
    return data.length === 0 ? [] : [{ id: this.id, event: event || 'message', data: data.join('\n') }];
  }
}
