import { afterEach, expect, it } from 'vitest';
import { emptyUsage } from '../../core/usage.ts';
import { makeExchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { renewWhenDue } from './renewal.ts';

const renewals: number[] = [];
const parts = { counters: { renew: (_admission: unknown, tokens: number) => void renewals.push(tokens) } } as unknown as Parts;
afterEach(() => void renewals.splice(0));

function running({ stream }: { stream: boolean }) {
  let outputTokens = 0;
  const exchange = makeExchange({ startedMs: 0, answerHeaders: [] } as unknown as Parameters<typeof makeExchange>[0]);
  exchange.admission = { requestId: 'r' } as never;
  exchange.shape = { stream } as never;
  exchange.meter = { push: () => [], end: () => [], usage: () => ({ usage: { ...emptyUsage, outputTokens }, exact: false }) };
  return {
    at(nowMs: number, tokens: number) {
      outputTokens = tokens;
      renewWhenDue(exchange, parts, nowMs);
    },
    exchange,
  };
}

it('books a stream each second while tokens flow', () => {
  const stream = running({ stream: true });
  for (let ms = 0; ms <= 3000; ms += 20) stream.at(ms, Math.floor(ms / 20));
  expect(renewals).toEqual([45, 90, 135]);
});

it('books a fast stream at every thousand tokens', () => {
  const stream = running({ stream: true });
  for (let tokens = 0; tokens <= 3500; tokens += 100) stream.at(tokens / 100, tokens);
  expect(renewals).toEqual([1000, 2000, 3000]);
});

it('keeps the reservation of one that does not flow, each ten seconds', () => {
  const stream = running({ stream: true });
  for (let ms = 0; ms <= 21_000; ms += 1000) stream.at(ms, 0);
  expect(renewals).toEqual([0, 0]);
});

it('does not look into an answer that is no stream: its usage stands at its end', () => {
  const whole = running({ stream: false });
  for (let ms = 0; ms <= 10_000; ms += 1000) whole.at(ms, ms);
  expect(renewals).toEqual([0]);
});

it('never takes back what is booked, and books attempts that were given up', () => {
  const stream = running({ stream: true });
  stream.at(1000, 500);
  stream.exchange.abandonedTokens = 50;
  stream.at(2000, 400);
  stream.at(3000, 500);
  expect(renewals).toEqual([500, 550]);
});

it('does nothing without an admission', () => {
  const stream = running({ stream: true });
  stream.exchange.admission = undefined;
  stream.at(20_000, 5000);
  expect(renewals).toEqual([]);
});
