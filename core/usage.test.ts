import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  billedTokens,
  emptyUsage,
  parseAnthropicAnswerUsage,
  parseAnthropicIterations,
  parseAnthropicUsage,
  parseGeminiUsage,
  parseOpenAIMediaUsage,
  parseOpenAIUsage,
  parseTiers,
} from './usage.ts';

describe('parseGeminiUsage', () => {
  const none = { cachedInputTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 };
  const details = (modality: string, tokenCount: number): object => ({ modality, tokenCount });

  it.each([
    ['text', { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 }, { ...none, inputTokens: 10, outputTokens: 5 }],
    [
      'thoughts, which stand beside the candidates',
      { promptTokenCount: 10, candidatesTokenCount: 5, thoughtsTokenCount: 30, totalTokenCount: 45 },
      { ...none, inputTokens: 10, outputTokens: 35, reasoningTokens: 30 },
    ],
    [
      'thoughts without any candidate',
      { promptTokenCount: 10, thoughtsTokenCount: 30 },
      { ...none, inputTokens: 10, outputTokens: 30, reasoningTokens: 30 },
    ],
    [
      'what tools put into the prompt, beside it',
      { promptTokenCount: 10, toolUsePromptTokenCount: 7, candidatesTokenCount: 5, totalTokenCount: 22 },
      { ...none, inputTokens: 17, outputTokens: 5 },
    ],
    [
      'a cached part, inside the prompt',
      { promptTokenCount: 10, cachedContentTokenCount: 8 },
      { ...none, inputTokens: 10, cachedInputTokens: 8, outputTokens: 0 },
    ],
    ['a total alone', { promptTokenCount: 10, totalTokenCount: 25 }, { ...none, inputTokens: 10, outputTokens: 15 }],
    [
      'audio and images, as parts of the totals',
      {
        promptTokenCount: 100,
        promptTokensDetails: [details('AUDIO', 60), details('TEXT', 40)],
        toolUsePromptTokenCount: 5,
        toolUsePromptTokensDetails: [details('AUDIO', 5)],
        candidatesTokenCount: 1400,
        candidatesTokensDetails: [details('IMAGE', 1290), details('AUDIO', 100), details('TEXT', 10)],
      },
      { ...none, inputTokens: 105, outputTokens: 1400, audioInputTokens: 65, audioOutputTokens: 100, imageOutputTokens: 1290 },
    ],
    [
      'parts that are more than the whole',
      {
        promptTokenCount: 10,
        cachedContentTokenCount: 99,
        candidatesTokenCount: 5,
        candidatesTokensDetails: [details('AUDIO', 4), details('IMAGE', 4)],
      },
      { ...none, inputTokens: 10, cachedInputTokens: 10, outputTokens: 5, audioOutputTokens: 4, imageOutputTokens: 1 },
    ],
  ])('reads %s', (_what, value, usage) => expect(parseGeminiUsage(value)).toEqual(usage));

  it.each([undefined, null, 5, 'x', {}, { candidatesTokenCount: 5 }, { promptTokenCount: -1 }, { promptTokenCount: '5' }])(
    'has nothing for %o',
    (value) => expect(parseGeminiUsage(value)).toBeUndefined(),
  );

  it('takes nonsense for nothing', () => {
    const value = {
      promptTokenCount: 5,
      candidatesTokensDetails: 'x',
      promptTokensDetails: [null, 5, { modality: 'AUDIO', tokenCount: 'y' }],
    };
    expect(parseGeminiUsage(value)).toEqual({ ...none, inputTokens: 5, outputTokens: 0 });
  });
});

describe('parseOpenAIMediaUsage', () => {
  it.each<[string, unknown, object | undefined]>([
    [
      'images',
      { total_tokens: 150, input_tokens: 50, output_tokens: 100, input_tokens_details: { text_tokens: 10, image_tokens: 40 } },
      { ...emptyUsage, inputTokens: 50, outputTokens: 100, imageInputTokens: 40, imageOutputTokens: 100 },
    ],
    [
      'a transcription',
      { type: 'tokens', total_tokens: 101, input_tokens: 14, output_tokens: 87, input_token_details: { text_tokens: 0, audio_tokens: 14 } },
      { ...emptyUsage, inputTokens: 14, outputTokens: 87, audioInputTokens: 14 },
    ],
    [
      'images beside what was thought about them',
      { input_tokens: 5, output_tokens: 30, input_tokens_details: {}, output_tokens_details: { image_tokens: 20, text_tokens: 10 } },
      { ...emptyUsage, inputTokens: 5, outputTokens: 30, imageOutputTokens: 20 },
    ],
    ['the length of a recording', { type: 'duration', seconds: 8.4705 }, { ...emptyUsage, audioMilliseconds: 8471 }],
    [
      'details that are more than all',
      { input_tokens: 5, output_tokens: 1, input_tokens_details: { image_tokens: 9 } },
      { ...emptyUsage, inputTokens: 5, outputTokens: 1, imageInputTokens: 5, imageOutputTokens: 1 },
    ],
    ['half of it', { input_tokens: 5 }, undefined],
    ['no numbers', { input_tokens: '5', output_tokens: null, seconds: -1 }, undefined],
    ['nothing', null, undefined],
  ])('reads %s', (_what, value, expected) => expect(parseOpenAIMediaUsage(value)).toEqual(expected));
});

describe('parseOpenAIUsage', () => {
  it('reads a chat completion', () => {
    const usage = parseOpenAIUsage({
      prompt_tokens: 1200,
      completion_tokens: 300,
      total_tokens: 1500,
      prompt_tokens_details: { cached_tokens: 1024, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 128 },
    });
    expect(usage).toEqual({ inputTokens: 1200, cachedInputTokens: 1024, cacheWriteTokens: 0, outputTokens: 300, reasoningTokens: 128 });
  });

  it('reads audio, which is part of the totals', () => {
    const audio = {
      prompt_tokens: 120,
      completion_tokens: 300,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 100 },
      completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 250 },
    };
    expect(parseOpenAIUsage(audio)).toEqual({
      ...emptyUsage,
      inputTokens: 120,
      audioInputTokens: 100,
      outputTokens: 300,
      audioOutputTokens: 250,
    });
  });

  it('counts reasoning that stands beside the completion as output: the total tells', () => {
    const usage = { prompt_tokens: 32, completion_tokens: 9, total_tokens: 135, completion_tokens_details: { reasoning_tokens: 94 } };
    expect(parseOpenAIUsage(usage)).toEqual({ ...emptyUsage, inputTokens: 32, outputTokens: 103, reasoningTokens: 94 });
    // a total that lacks something takes nothing away
    expect(parseOpenAIUsage({ ...usage, total_tokens: 33 })).toMatchObject({ outputTokens: 9 });
  });

  it('reads embeddings, which have no output, and the nulls of compatible servers', () => {
    expect(parseOpenAIUsage({ prompt_tokens: 8, total_tokens: 8 })).toEqual({ ...emptyUsage, inputTokens: 8 });
    expect(
      parseOpenAIUsage({ prompt_tokens: 8, completion_tokens: 2, prompt_tokens_details: null, completion_tokens_details: null }),
    ).toEqual({
      ...emptyUsage,
      inputTokens: 8,
      outputTokens: 2,
    });
  });

  it.each([
    [undefined],
    [null],
    ['12'],
    [{}],
    [{ prompt_tokens: null, completion_tokens: null }],
    [{ prompt_tokens: -1, completion_tokens: 2 }],
    [{ prompt_tokens: 1.5, completion_tokens: 2 }],
    [{ prompt_tokens: 12 }],
    [{ completion_tokens: 12 }],
    [{ prompt_tokens: 1e300, completion_tokens: 1 }],
  ])('does not make a zero of %o', (value) => expect(parseOpenAIUsage(value)).toBeUndefined());
});

describe('parseAnthropicUsage', () => {
  const start = { input_tokens: 25, cache_creation_input_tokens: 100, cache_read_input_tokens: 2000, output_tokens: 1 };

  it('counts cache reads and writes as input', () => {
    expect(parseAnthropicUsage(start)).toEqual({
      inputTokens: 2125,
      cachedInputTokens: 2000,
      cacheWriteTokens: 100,
      outputTokens: 1,
      reasoningTokens: 0,
    });
  });

  it.each([
    ['output only', { output_tokens: 15 }, 2125, 15],
    ['nulls', { input_tokens: null, cache_creation_input_tokens: null, cache_read_input_tokens: null, output_tokens: 15 }, 2125, 15],
    ['a new total of the input', { input_tokens: 30, output_tokens: 15 }, 2130, 15],
    ['more cache reads', { cache_read_input_tokens: 2500, output_tokens: 15 }, 2625, 15],
    ['nothing', {}, 2125, 1],
    ['no object', null, 2125, 1],
    ['a null as output', { output_tokens: null }, 2125, 1],
  ])('puts a delta with %s on top of the start', (_what, delta, inputTokens, outputTokens) => {
    expect(parseAnthropicUsage(delta, parseAnthropicUsage(start))).toMatchObject({ inputTokens, outputTokens });
  });

  it('tells what is written for an hour, and searches, from whichever event has them last', () => {
    const hour = { ...start, cache_creation: { ephemeral_5m_input_tokens: 40, ephemeral_1h_input_tokens: 60 } };
    const before = parseAnthropicUsage(hour);
    expect(before).toMatchObject({ cacheWriteTokens: 100, cacheWrite1hTokens: 60 });
    const after = parseAnthropicUsage({ output_tokens: 5, server_tool_use: { web_search_requests: 2 } }, before);
    expect(after).toMatchObject({ cacheWriteTokens: 100, cacheWrite1hTokens: 60, webSearches: 2 });
    expect(parseAnthropicUsage({ output_tokens: 9 }, after)).toMatchObject({ cacheWrite1hTokens: 60, webSearches: 2 });
    expect(parseAnthropicUsage(start)).not.toHaveProperty('cacheWrite1hTokens');
  });

  it('is cumulative and not a sum', () => {
    const usage = [{ output_tokens: 10 }, { output_tokens: 20 }].reduce(
      (before, delta) => parseAnthropicUsage(delta, before) ?? before,
      parseAnthropicUsage(start),
    );
    expect(usage?.outputTokens).toBe(20);
  });

  it('does not make a zero of nothing', () => {
    for (const value of [undefined, null, {}, { input_tokens: null }, { output_tokens: 5 }])
      expect(parseAnthropicUsage(value)).toBeUndefined();
  });
});

describe('parseAnthropicAnswerUsage', () => {
  const message = { type: 'message', input_tokens: 23_000, output_tokens: 1_000 };
  const whole = { input_tokens: 23_000, output_tokens: 1_000 };

  it('adds what the summary of a long conversation took, which the numbers above it have not', () => {
    const compaction = { type: 'compaction', input_tokens: 180_000, output_tokens: 3_500, cache_read_input_tokens: 7_000 };
    expect(parseAnthropicAnswerUsage({ ...whole, iterations: [compaction, message] })).toEqual({
      inputTokens: 210_000,
      cachedInputTokens: 7_000,
      cacheWriteTokens: 0,
      outputTokens: 4_500,
      reasoningTokens: 0,
      longestInputTokens: 187_000,
    });
  });

  it('adds the advice of another model, and no answer twice', () => {
    const advice = { type: 'advisor_message', model: 'm', input_tokens: 800, output_tokens: 500, cache_creation_input_tokens: 10 };
    const iterations = [message, advice, advice, { ...message, type: 'fallback_message' }];
    expect(parseAnthropicAnswerUsage({ ...whole, iterations })).toMatchObject({
      inputTokens: 24_620,
      outputTokens: 2_000,
      cacheWriteTokens: 20,
    });
    expect(parseAnthropicAnswerUsage({ ...whole, iterations: [message] })).toEqual(parseAnthropicUsage(whole));
    expect(parseAnthropicAnswerUsage({ ...whole, iterations: null })).toEqual(parseAnthropicUsage(whole));
    expect(parseAnthropicIterations(whole)).toBeUndefined();
  });

  it('stays within the integers', () => {
    const huge = { type: 'compaction', input_tokens: 1_000_000_000_000, output_tokens: 1 };
    const usage = parseAnthropicAnswerUsage({ ...whole, iterations: Array.from({ length: 20_000 }, () => huge) });
    expect(usage?.inputTokens).toBe(1_000_000_000_000);
  });
});

it('neither parser throws or gives anything but non-negative integers, whatever comes', () => {
  const numbers = fc.oneof(fc.double(), fc.integer(), fc.constant(null), fc.string());
  const names = [
    'prompt_tokens',
    'completion_tokens',
    'total_tokens',
    'input_tokens',
    'output_tokens',
    'cache_read_input_tokens',
    'cache_creation_input_tokens',
  ];
  const values = fc.oneof(fc.jsonValue(), fc.record(Object.fromEntries(names.map((name) => [name, numbers])), { requiredKeys: [] }));
  fc.assert(
    fc.property(values, values, (value, delta) => {
      for (const usage of [parseOpenAIUsage(value), parseAnthropicUsage(delta, parseAnthropicUsage(value))]) {
        for (const count of Object.values(usage ?? emptyUsage)) expect(Number.isSafeInteger(count) && count >= 0).toBe(true);
      }
    }),
  );
});

it.each([
  [{ service_tier: 'priority' }, ['priority']],
  [{ service_tier: 'standard', speed: 'fast', inference_geo: 'us' }, ['standard', 'fast', 'us']],
  [{ service_tier: null }, undefined],
  [undefined, undefined],
])('parseTiers of %j', (value, tiers) => expect(parseTiers(value)).toEqual(tiers));

it('billedTokens are input and output', () => {
  expect(billedTokens({ inputTokens: 10, cachedInputTokens: 8, cacheWriteTokens: 1, outputTokens: 5, reasoningTokens: 4 })).toBe(15);
});
