import { describe, expect, it } from 'vitest';
import { runPrice } from './price.ts';

async function run(...argv: string[]) {
  const printed: string[] = [];
  const complaints: string[] = [];
  const code = await runPrice(
    argv,
    { print: (line) => void printed.push(line), complain: (line) => void complaints.push(line) },
    Date.UTC(2026, 10, 27),
  );
  return { code, printed, complaints: complaints.join('\n') };
}

describe('keywright price', () => {
  it('says what the built-in list has, by provider', async () => {
    const { code, printed } = await run('claude-sonnet-4-5', '--provider', 'Anthropic');
    expect(code).toBe(0);
    expect(printed).toEqual(
      expect.arrayContaining([
        'Anthropic',
        '  input        3 USD per million, 6 above 200000 input tokens',
        '  webSearch    0.01 USD each',
        '  fast         × 6 when a request names it',
      ]),
    );
  });

  it('without a provider tells all that know the model', async () => {
    const { printed } = await run('gpt-4o');
    expect(printed).toEqual(expect.arrayContaining(['OpenAI', 'AzureOpenAI']));
    expect(printed).not.toContain('Anthropic');
  });

  it('knows compatible servers by their address', async () => {
    expect((await run('mistral-large-latest', '--url', 'https://api.mistral.ai')).code).toBe(0);
    expect((await run('gpt-4o', '--url', 'http://vllm.svc:8000')).code).toBe(1);
  });

  it('says when nothing is known, and where it can be said', async () => {
    expect(await run('own-model')).toMatchObject({ code: 1, printed: [], complaints: expect.stringContaining('models[].price') });
  });

  it.each([
    [[], 'one MODEL is required'],
    [['a', 'b'], 'one MODEL is required'],
    [['a', '--provider', 'Acme'], '--provider must be one of: OpenAI'],
    [['a', '--provider', 'OpenAICompatible'], 'needs --url'],
    [['a', '--provider', 'OpenAI', '--url', 'http://x'], '--url counts only for OpenAICompatible'],
    [['a', '--bogus'], 'bogus'],
  ])('%j is a wrong command line', async (argv, message) => {
    expect(await run(...argv)).toMatchObject({ code: 64, complaints: expect.stringContaining(message) });
  });
});
