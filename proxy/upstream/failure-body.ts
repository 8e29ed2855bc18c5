import { parseJson } from '../../core/json.ts';

/** What an error body says, whoever wrote it. */
export interface FailureBody {
  /** every word that names the error: code, type, status, reason, as text */
  readonly codes: ReadonlySet<string>;
  /** for people; may quote what the client sent */
  readonly message: string;
  /** how long the provider wants to be left alone (google.rpc.RetryInfo) */
  readonly retryAfterMs: number | undefined;
}

const nothing: FailureBody = { codes: new Set(), message: '', retryAfterMs: undefined };

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads the shapes in which providers tell errors: `{"error":{…}}` (OpenAI, Anthropic, Google, most others), the same as the only element of a list (Google's streams and its
 * OpenAI-compatible endpoint), the fields at the top (vLLM, DashScope), and a bare text under `error` (xAI). Anything else says nothing.
 */
export function readFailureBody(body: Buffer): FailureBody {
  const parsed = parseJson(body.toString('utf8'));
  const top = toFields(Array.isArray(parsed) ? parsed[0] : parsed);
  if (top === undefined) return nothing;
  const error = toFields(top['error']) ?? top;
  const details = toList(error['details']).flatMap((detail): Fields[] => [toFields(detail) ?? {}]);
  const metadata = Object.keys(toFields(error['metadata']) ?? {}).map((name) => `metadata.${name}`);
  const words = [top['code'], error['code'], error['type'], error['status'], ...details.map((detail) => detail['reason']), ...metadata];
  return {
    codes: new Set(words.filter((word) => typeof word === 'string' || typeof word === 'number').map(String)),
    message: [error['message'], top['error']].find((text) => typeof text === 'string') ?? '',
    retryAfterMs: details.map(toRetryDelayMs).find((ms) => ms !== undefined),
  };
}

function toFields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function toList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A `google.protobuf.Duration` in JSON: decimal seconds with up to nine digits, and `s`. */
function toRetryDelayMs(detail: Fields): number | undefined {
  const seconds = /^(\d{1,9}(?:\.\d{1,9})?)s$/.exec(String(detail['retryDelay']))?.[1];
  return seconds === undefined ? undefined : Math.ceil(Number(seconds) * 1000);
}
