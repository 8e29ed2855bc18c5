import { refusals } from '../../../core/refusals.ts';
import { toRefusalStatus } from '../../../core/refusal-answer.ts';
import type { LogLine } from '../../support/process.ts';
import type { Call, Outcome } from './call.ts';
import { type Client, clients } from './clients.ts';
import type { Gateways } from './gateways.ts';
import { textOf } from './keys.ts';
import { type Arguments, type Method, methods, nameOf } from './methods.ts';
import type { ReplayingProvider } from './provider.ts';
import { nameOfCase, type RefusalCase, refusalCases, tiresomeNetwork } from './refusal-cases.ts';

/** One row of the whole: a client, one of its methods, and what it runs into; nothing: it is served. */
export interface Cell {
  readonly id: string;
  readonly client: Client;
  readonly method: Method;
  readonly refusal: RefusalCase | undefined;
  /** where it seems to come from; the gateways' lines are found by it */
  readonly address: string;
}

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

export function toCells(): Cell[] {
  const pairs = clients.flatMap((client) =>
    methods.filter(({ families }) => families.includes(client.family)).map((method) => ({ client, method })),
  );
  const cells = pairs.flatMap(({ client, method }) =>
    [...(method.by === 'nobody' ? [] : [undefined]), ...refusalCases.filter((refusal) => refusal.applies(method))].map((refusal) => ({
      client,
      method,
      refusal,
    })),
  );
  return cells.map((cell, index) => ({
    ...cell,
    id: `${cell.client.id} ${nameOf(cell.method)} ${toWhat(cell)}`,
    address: toAddress(cell.refusal, index),
  }));
}

const toWhat = ({ refusal }: Pick<Cell, 'refusal'>): string => (refusal === undefined ? 'served' : nameOfCase(refusal));

/** An address for each cell. Unknown keys are counted by network, so that most cells need one of their own and some share one. */
function toAddress(refusal: RefusalCase | undefined, index: number): string {
  if (refusal?.gateway === 'stopped clock') return `${tiresomeNetwork}${(index + 1).toString(16)}`;
  return `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
}

export function toCall({ id, client, method, refusal, address }: Cell, gateways: Gateways): Call {
  const key = typeof refusal?.key === 'function' ? refusal.key(method) : (refusal?.key ?? 'open');
  const headers = { 'x-forwarded-for': address, ...refusal?.headers?.(client) };
  return makeCall({ id, client, method }, { url: toUrl(refusal, gateways), key: textOf(key), headers, refusal });
}

function toUrl(refusal: RefusalCase | undefined, gateways: Gateways): string {
  if (refusal?.code === 'headers_too_large') return gateways.tapped;
  return `${gateways.address(refusal?.gateway ?? 'usual')}${refusal?.path ?? ''}`;
}

/** The same call without a gateway: what it gives is what a program has a right to. */
export function toDirectCall({ id, client, method }: Cell, provider: ReplayingProvider): Call {
  return makeCall({ id: directId(id), client, method }, { url: provider.url('well'), key: 'any', headers: {}, refusal: undefined });
}

const directId = (id: string): string => `${id} without a gateway`;

interface Where {
  readonly url: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly refusal: RefusalCase | undefined;
}

function makeCall({ id, client, method }: Pick<Cell, 'id' | 'client' | 'method'>, { url, key, headers, refusal }: Where): Call {
  const isNode = client.language === 'Node';
  return {
    id,
    client: { family: client.family, url: `${url}${client.base}`, key, headers, apiVersion: client.apiVersion },
    method: isNode ? method.node : (method.python ?? method.node),
    answer: method.answer,
    final: isNode ? method.final?.node : method.final?.python,
    ...toArguments(method, refusal),
  };
}

function toArguments(method: Method, refusal: RefusalCase | undefined): Arguments {
  const text = refusal?.textBytes === undefined ? 'Hello' : 'x'.repeat(refusal.textBytes);
  const said = method.call({ model: refusal?.model ?? method.model ?? '', text });
  return refusal?.refers === true ? { ...said, parameters: { ...said.parameters, ...method.reference } } : said;
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
          : findRefusedProblems(cell.client, cell.refusal, { outcome, requests, lines }),
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
  const value = JSON.stringify(withoutEnvelope(outcome.value));
  if (!value.includes(method.expected)) problems.push(`"${method.expected}" is not in ${value.slice(0, 500)}`);
  if (lines.length !== 1) problems.push(`${lines.length} requests instead of 1`);
  if (outcome.requestId !== undefined && outcome.requestId !== lines[0]?.['request_id'])
    problems.push(`the request id ${outcome.requestId} is not the gateway's`);
  if (method.by === 'gateway') return problems;
  if (direct?.answered !== true) return [...problems, `${client.id} fails at the provider itself: ${JSON.stringify(direct)}`];
  const own = JSON.stringify(withoutEnvelope(direct.value));
  if (own !== value) problems.push(`the provider itself gives ${own.slice(0, 2000)}, through the gateway it is ${value.slice(0, 2000)}`);
  return problems;
}

/** Names under which SDKs put headers and ids of the one answer; and `usage: null`, which streams have only where the gateway has asked for usage. */
const envelope: ReadonlySet<string> = new Set(['sdkHttpResponse', 'sdk_http_response', '_request_id']);

function withoutEnvelope(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEnvelope);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([name, member]) => !envelope.has(name) && member !== null && member !== undefined);
  return Object.fromEntries(kept.map(([name, member]) => [name, withoutEnvelope(member)]));
}

function findRefusedProblems(client: Client, refusal: RefusalCase, { outcome, requests, lines }: Seen): string[] {
  if (outcome.answered) return [`was answered with ${JSON.stringify(outcome.value).slice(0, 500)}`];
  const expected = toExpected(client, refusal);
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

function toExpected(client: Client, refusal: RefusalCase): Expected {
  if (refusal.isProviders === true) return toProvidersFault(client);
  // which dialect was meant is not known of a request that is none
  const dialect = refusal.code === 'headers_too_large' ? 'OpenAI' : client.dialect;
  const status = toRefusalStatus({ code: refusal.code, message: '' }, dialect);
  const isInStream = refusal.inStream === true;
  const exception = isInStream ? { exception: client.streamException } : { exception: client.toException(status), status };
  const isOwn = dialect === client.dialect;
  return {
    fields: { ...exception, ...(isOwn ? toFields(client, refusal) : {}) },
    says: isOwn ? toSaid(client, refusal) : refusal.code,
    requests: client.retries && refusal.mayRetry === true ? 3 : 1,
    hasRequestId: !isInStream && isOwn && client.dialect !== 'Gemini' && refusal.code !== 'headers_too_large',
    written: isInStream ? { field: 'aborted_by', value: 'upstream' } : { field: 'refusal', value: refusal.code },
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
