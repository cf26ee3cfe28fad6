import { maxHeaderSize, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { GodwitError } from '@godwit/domain';
import type { FastifyInstance } from 'fastify';
import { ERROR_HEADER, REQUEST_ID } from './error-handler.ts';
import { badRequest } from './request-error.ts';
import { newRequestId } from './request-id.ts';
import { errorHeader, fault } from './wire/fault.ts';

/** What Node's HTTP parser found, before there was a request. */
interface ParserError extends Error {
  code?: string;
  /** In the parser's words; the message repeats it behind a prefix. */
  reason?: string;
}

/** Answers what is no HTTP, or too much of it, as any other refusal is answered: no hook and no route hears of it. */
export function answerClientError(this: FastifyInstance, error: ParserError, socket: Socket): void {
  const id = newRequestId();
  this.log.debug({ err: error, reqId: id }, 'a connection is closed: what came is no HTTP');
  if (mayAnswer(error, socket)) socket.write(answer(refusalOf(error), id));
  socket.destroy(error);
}

/** Not where somebody else's answer is under way: in the middle of an event stream it would be taken for events. */
function mayAnswer(error: ParserError, socket: Socket & { _httpMessage?: ServerResponse }): boolean {
  return error.code !== 'ECONNRESET' && socket.writable && socket._httpMessage?.headersSent !== true;
}

function refusalOf(error: ParserError): GodwitError {
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    return new GodwitError('HEADERS_TOO_LARGE', 'the request', { limit: maxHeaderSize });
  }
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new GodwitError('TOO_SLOW', 'the request');
  return badRequest(`Malformed HTTP request: ${error.reason ?? error.message}`);
}

function answer(error: GodwitError, id: string): string {
  const body = JSON.stringify(fault(error.status, error.message));
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    `${REQUEST_ID}: ${id}`,
    `${ERROR_HEADER}: ${errorHeader(error)}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
