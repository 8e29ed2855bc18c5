import { expect, it } from 'vitest';
import type { UsageEvent } from './usage-event.ts';
import { emptyUsage } from './usage.ts';
import {
  compareStreamIds,
  firstStreamId,
  isStreamId,
  parseUsageEvent,
  timeOfStreamId,
  usageEventField,
  usageStreamOf,
} from './usage-stream.ts';

const event: UsageEvent = {
  requestId: 'r-1',
  keyId: 'team/app',
  channel: 'platform/openai',
  model: 'gpt-4o',
  dialect: 'OpenAI',
  status: 200,
  usage: { ...emptyUsage, inputTokens: 12, outputTokens: 3 },
  costNanoUsd: 900_000_000_000_000,
  durationMs: 12,
};

it('an event is read as it was written', () => {
  expect(parseUsageEvent(JSON.stringify(event))).toEqual(event);
  // processes of different versions meet here
  expect([usageEventField, firstStreamId]).toEqual(['e', '0-0']);
  expect(usageStreamOf('team/app')).toMatch(/^kw:\{[0-3][0-9a-f]\}:usage$/);
});

it('what a newer proxy adds is passed over, what it leaves out counts as nothing', () => {
  const { usage, costNanoUsd, channel, model, ...least } = event;
  expect(usage).toBeDefined();
  expect([costNanoUsd, channel, model]).toBeDefined();
  expect(parseUsageEvent(JSON.stringify({ ...least, usage: { inputTokens: 1, imageTokens: 7 }, more: 'x' }))).toEqual({
    ...least,
    usage: { ...emptyUsage, inputTokens: 1 },
  });
});

it.each([
  ['no JSON', '{'],
  ['no object', '7'],
  ['no request', JSON.stringify({ ...event, requestId: '' })],
  ['no key', JSON.stringify({ ...event, keyId: 'team' })],
  ['no status', JSON.stringify({ ...event, status: '200' })],
  ['no dialect', JSON.stringify({ ...event, dialect: 'Klingon' })],
])('%s is no event', (_name, text) => {
  expect(parseUsageEvent(text)).toBeUndefined();
});

it('ids have the order of the stream', () => {
  const ids = ['0-0', '9-5', '10-0', '10-2', '10-11', '1795000000000-0'];
  expect(ids.toReversed().toSorted(compareStreamIds)).toEqual(ids);
  expect(timeOfStreamId('1795000000000-3')).toBe(1_795_000_000_000);
  expect(['', '1', '1-', 'a-1', 1].some(isStreamId)).toBe(false);
  expect(isStreamId('1-0')).toBe(true);
});
