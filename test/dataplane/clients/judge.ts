import { refusals } from '../../../core/refusals.ts';
import { toRefusalStatus } from '../../../core/refusal-answer.ts';
import type { LogLine } from '../../support/process.ts';
import type { Outcome } from './call.ts';
import type { Client } from './clients.ts';
import type { Gateways } from './gateways.ts';
import { textOf } from './keys.ts';
import { type Cell, directId } from './matrix.ts';
import type { Method } from './methods.ts';
import type { RefusalCase } from './refusal-cases.ts';

/** What was seen in a cell. */
export interface Result {
  readonly cell: Cell;
  /** requests that one call of the program sent */
  readonly requests: number;
  readonly exception: string | undefined;
  readonly status: number | undefined;
  /** what is not as it should be; empty: passed */
  readonly problems: readonly string[];
}

export function judge(cell: Cell, outcomes: ReadonlyMap<string, Outcome>, gateways: Gateways): Result {
  const outcome = outcomes.get(cell.id);
  const lines = gateways.linesOf(cell.address);
  const requests = cell.refusal?.code === 'headers_too_large' ? gateways.connectionsOf(cell.address) : lines.length;
  const failed = outcome?.answered === false ? outcome : undefined;
  return {
    cell,
    requests,
    exception: failed?.exception,
    status: failed?.status,
    problems:
      outcome === undefined
        ? ['the runner told nothing']
        : cell.refusal === undefined
          ? findServedProblems(cell, { outcome, direct: outcomes.get(directId(cell.id)), lines })
          : findRefusedProblems(cell, cell.refusal, { outcome, requests, lines }),
  };
}

interface Seen {
  readonly outcome: Outcome;
  readonly requests: number;
  readonly lines: readonly LogLine[];
}

function findServedProblems(
  { client, method }: Cell,
  { outcome, direct, lines }: Omit<Seen, 'requests'> & { direct: Outcome | undefined },
): string[] {
  if (!outcome.answered) return [`${outcome.exception}: ${outcome.message}`];
  const problems: string[] = [];
  const value = toComparable(outcome.value);
  if (!value.includes(method.expected)) problems.push(`"${method.expected}" is not in ${value.slice(0, 500)}`);
  if (lines.length !== 1) problems.push(`${lines.length} requests instead of 1`);
  if (outcome.requestId !== undefined && outcome.requestId !== lines[0]?.['request_id'])
    problems.push(`the request id ${outcome.requestId} is not the gateway's`);
  if (method.by === 'gateway') return problems;
  if (direct?.answered !== true) return [...problems, `${client.id} fails at the provider itself: ${JSON.stringify(direct)}`];
  const own = toComparable(direct.value);
  if (own !== value) problems.push(`the provider itself gives ${own.slice(0, 2000)}, through the gateway it is ${value.slice(0, 2000)}`);
  return problems;
}

/** Names under which SDKs put headers and ids of the one answer; and `usage: null`, which streams have only where the gateway has asked for usage. */
const envelope: ReadonlySet<string> = new Set(['sdkHttpResponse', 'sdk_http_response', '_request_id']);

/** A method that gives nothing gives undefined or null. */
function toComparable(value: unknown): string {
  return JSON.stringify(withoutEnvelope(value) ?? null);
}

function withoutEnvelope(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEnvelope);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([name, member]) => !envelope.has(name) && member !== null && member !== undefined);
  return Object.fromEntries(kept.map(([name, member]) => [name, withoutEnvelope(member)]));
}

function findRefusedProblems({ client, method }: Cell, refusal: RefusalCase, { outcome, requests, lines }: Seen): string[] {
  if (outcome.answered)
    return isErrorEvent(method, refusal, outcome.value) ? [] : [`was answered with ${JSON.stringify(outcome.value).slice(0, 500)}`];
  const expected = toExpected(client, method, refusal);
  const { exception, status, code, type, requestId, message } = outcome;
  const seen = { exception, status, code, type };
  const problems = Object.entries(expected.fields)
    .filter(([name, value]) => seen[name as keyof typeof seen] !== value)
    .map(
      ([name, value]) =>
        `${name} is ${JSON.stringify(seen[name as keyof typeof seen])}, not ${JSON.stringify(value)} (${message.slice(0, 300)})`,
    );
  if (expected.says !== undefined && !message.includes(expected.says))
    problems.push(`"${expected.says}" is not in ${message.slice(0, 500)}`);
  if (requests !== expected.requests) problems.push(`${requests} requests instead of ${expected.requests}`);
  if (lines.some((line) => line[expected.written.field] !== expected.written.value))
    problems.push(`the gateway has written ${JSON.stringify(lines)}`);
  if (expected.hasRequestId && (requestId === undefined || requestId !== lines.at(-1)?.['request_id']))
    problems.push(`the request id is ${requestId}`);
  return [...problems, ...findOddities(refusal, outcome)];
}

/** The last of what a stream gave says what went wrong, where that is the API's own way to say it. */
function isErrorEvent({ errorEvents }: Method, { inStream, code }: RefusalCase, value: unknown): boolean {
  if (errorEvents !== true || inStream !== true || !Array.isArray(value) || value.length < 2) return false;
  const last = value.at(-1) as { readonly type?: unknown; readonly code?: unknown };
  return last.type === 'error' && last.code === code;
}

function findOddities({ inStream }: RefusalCase, { message, seen }: Extract<Outcome, { answered: false }>): string[] {
  const problems: string[] = [];
  if (message.includes(textOf('open'))) problems.push('the message holds the key');
  if (inStream === true && seen === 0) problems.push('nothing was seen before the error');
  return problems;
}

interface Expected {
  readonly fields: Readonly<Record<string, unknown>>;
  /** where an SDK has no field for it */
  readonly says: string | undefined;
  readonly requests: number;
  readonly hasRequestId: boolean;
  /** into the access line */
  readonly written: { readonly field: string; readonly value: unknown };
}

/** Of the recorded bodies in testdata/*-400.json. */
const providersWords = {
  OpenAI: "'temperature' does not support 3",
  Anthropic: 'Input should be a valid list',
  Gemini: 'generation_config.temperature',
};

function toProvidersFault(client: Client): Expected {
  const own = client.dialect === 'OpenAI' ? { code: 'unsupported_value', type: 'invalid_request_error' } : {};
  return {
    fields: { exception: client.toException(400), status: 400, ...own },
    says: providersWords[client.dialect],
    requests: 1,
    hasRequestId: client.dialect !== 'Gemini',
    written: { field: 'status', value: 400 },
  };
}

function toExpected(client: Client, method: Method, refusal: RefusalCase): Expected {
  if (refusal.isProviders === true) return toProvidersFault(client);
  if (refusal.inStream === true) return toBrokenStream(client, method, refusal);
  const status = toRefusalStatus({ code: refusal.code, message: '' }, client.dialect);
  return {
    fields: { exception: client.toException(status), status, ...toFields(client, refusal) },
    says: toSaid(client, refusal),
    requests: client.retries && refusal.mayRetry === true ? 3 : 1,
    // what is no request leaves no line to compare with
    hasRequestId: client.dialect !== 'Gemini' && refusal.code !== 'headers_too_large',
    written: { field: 'refusal', value: refusal.code },
  };
}

function toBrokenStream(client: Client, method: Method, refusal: RefusalCase): Expected {
  const own = method.errorEvents === true ? { type: 'error' } : {};
  return {
    fields: {
      exception: client.toStreamException(toRefusalStatus({ code: refusal.code, message: '' }, client.dialect)),
      ...toFields(client, refusal),
      ...own,
    },
    says: toSaid(client, refusal),
    requests: 1,
    hasRequestId: false,
    written: refusal.code === 'key_revoked' ? { field: 'refusal', value: refusal.code } : { field: 'aborted_by', value: 'upstream' },
  };
}

/** What an SDK makes of the body, each in its own fields. */
function toFields(client: Client, refusal: RefusalCase): Readonly<Record<string, unknown>> {
  const { openaiType, anthropicType, geminiStatus } = refusals[refusal.code];
  if (client.dialect === 'Anthropic') return { type: anthropicType };
  if (client.dialect === 'Gemini') return client.language === 'Python' ? { type: geminiStatus } : {};
  return { code: refusal.code, type: openaiType === '' ? (refusal.unit ?? 'requests') : openaiType };
}

/** Google's SDKs have the reason in their message only. */
function toSaid(client: Client, refusal: RefusalCase): string | undefined {
  if (client.dialect !== 'Gemini') return undefined;
  return refusals[refusal.code].geminiReason ?? refusal.code.toUpperCase();
}
