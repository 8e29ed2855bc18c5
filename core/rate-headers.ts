import type { Dialect } from './refusals.ts';

/** What is left of one window. `resetMs`: time until it would be empty or, for a full one, until one request fits. */
export interface RateWindow {
  readonly name: string;
  readonly unit: 'requests' | 'tokens';
  readonly span: 'minute' | 'day';
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
}

const spanSeconds = { minute: 60, day: 86_400 } as const;

/**
 * Rate headers in the dialect's own names and, for all, `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers). Of several
 * windows of one unit the tightest is shown: the one with the least left, of equal ones the one that takes longest to reset.
 * @param nowMs the clock by which Anthropic's absolute times are made
 */
export function toRateHeaders(windows: readonly RateWindow[], dialect: Dialect, nowMs: number): Record<string, string> {
  const shown = (['requests', 'tokens'] as const)
    .map((unit) => toTightest(windows.filter((window) => window.unit === unit)))
    .filter((window) => window !== undefined);
  if (shown.length === 0) return {};
  const headers: Record<string, string> = {
    // Named by unit and not by window: the name of a window may hold a model's glob.
    'ratelimit-policy': shown.map(({ unit, limit, span }) => `"${unit}";q=${limit};w=${spanSeconds[span]}`).join(', '),
    ratelimit: shown.map((window) => `"${window.unit}";r=${toRemaining(window)};t=${toSeconds(window.resetMs)}`).join(', '),
  };
  for (const window of shown) {
    if (dialect === 'OpenAI') Object.assign(headers, toOpenAIHeaders(window));
    if (dialect === 'Anthropic') Object.assign(headers, toAnthropicHeaders(window, nowMs));
  }
  return headers;
}

function toTightest(windows: readonly RateWindow[]): RateWindow | undefined {
  return windows.toSorted((one, other) => one.remaining - other.remaining || other.resetMs - one.resetMs)[0];
}

function toOpenAIHeaders(window: RateWindow): Record<string, string> {
  return {
    [`x-ratelimit-limit-${window.unit}`]: String(window.limit),
    [`x-ratelimit-remaining-${window.unit}`]: String(toRemaining(window)),
    [`x-ratelimit-reset-${window.unit}`]: toOpenAIDuration(window.resetMs),
  };
}

function toAnthropicHeaders(window: RateWindow, nowMs: number): Record<string, string> {
  const name = `anthropic-ratelimit-${window.unit}`;
  return {
    [`${name}-limit`]: String(window.limit),
    [`${name}-remaining`]: String(toRemaining(window)),
    [`${name}-reset`]: toRfc3339Seconds(nowMs + window.resetMs),
  };
}

/** A limit that was lowered may leave less than nothing; the headers know no negative numbers. */
function toRemaining({ remaining }: RateWindow): number {
  return Math.max(0, Math.floor(remaining));
}

/** All times are rounded up: a client that comes back at the time told must not be early. */
function toSeconds(milliseconds: number): number {
  return Math.max(0, Math.ceil(milliseconds / 1000));
}

/** As OpenAI writes them: `120ms`, `1s`, `6m0s`, `24h0m0s`. Source: OpenAI guide, "Rate limits in headers". */
function toOpenAIDuration(milliseconds: number): string {
  if (milliseconds > 0 && milliseconds < 1000) return `${Math.ceil(milliseconds)}ms`;
  const seconds = toSeconds(milliseconds);
  const parts = [`${Math.floor(seconds / 3600)}h`, `${Math.floor((seconds % 3600) / 60)}m`, `${seconds % 60}s`];
  return parts.slice(seconds >= 3600 ? 0 : seconds >= 60 ? 1 : 2).join('');
}

/** RFC 3339 without fractions, as Anthropic writes it. Source: Anthropic API reference, "Rate limits", response headers. */
function toRfc3339Seconds(milliseconds: number): string {
  return `${new Date(toSeconds(milliseconds) * 1000).toISOString().slice(0, 19)}Z`;
}
