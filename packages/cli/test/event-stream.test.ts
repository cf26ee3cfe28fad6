import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventStreamParser } from '../src/event-stream.ts';

const stream = [
  ': hello\n\n',
  'id: 7\nevent: task.updated\ndata: {"a":1}\n\n',
  'data: two\ndata: lines\n\n',
  'id: 8\r\nevent: progress\r\ndata:tight\r\n\r\n',
  'retry: 10\n\n',
].join('');

const expected = [
  { id: '7', event: 'task.updated', data: '{"a":1}' },
  { id: '7', event: 'message', data: 'two\nlines' },
  { id: '8', event: 'progress', data: 'tight' },
];

test('events are the same however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length), { maxLength: 20 }), (cuts) => {
      const parser = new EventStreamParser();
      const edges = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const messages = edges.slice(1).flatMap((end, index) => parser.push(stream.slice(edges[index], end)));
      expect(messages).toEqual(expected);
    }),
  );
});

test('an event that was not ended is not told', () => {
  expect(new EventStreamParser().push('id: 1\ndata: half')).toEqual([]);
});
