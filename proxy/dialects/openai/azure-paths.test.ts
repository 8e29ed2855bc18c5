import { AzureOpenAI, toFile } from 'openai';
import { describe, expect, it } from 'vitest';
import { chatAnswer } from '../../../test/support/chat.ts';
import { keyText } from '../../../test/support/records.ts';
import { answerJson, type UpstreamHandler } from '../../../test/support/test-upstream.ts';
import { useOneChannel } from '../../../test/support/one-channel.ts';

const start = useOneChannel();
const apiVersion = '2024-10-21';
const answer: UpstreamHandler = (_request, response) => answerJson(response, chatAnswer);
const chat = { messages: [{ role: 'user' as const, content: 'Hello' }] };
const deployment = '/openai/deployments/gpt-4o/chat/completions';
const models = [{ name: 'gpt-4o', upstreamName: 'our-gpt' }];

function clientOf(url: string): AzureOpenAI {
  return new AzureOpenAI({ apiKey: keyText, endpoint: url, apiVersion, maxRetries: 0 });
}

describe('a client of Azure', () => {
  it('names the deployment in the path, and its SDK gets what the provider says', async () => {
    const { proxy, upstream } = await start(answer, { channel: { provider: 'AzureOpenAI', apiVersion, models } });
    expect(await clientOf(proxy.url).chat.completions.create({ ...chat, model: 'gpt-4o' })).toMatchObject({ choices: chatAnswer.choices });
    const [seen] = upstream.requests;
    expect(seen?.url).toBe(`/openai/deployments/our-gpt/chat/completions?api-version=${apiVersion}`);
    expect(JSON.parse(String(seen?.body))).toMatchObject({ model: 'our-gpt' });
    expect(seen?.headers['api-key']).not.toBe(keyText);
    expect(proxy.counters.settlements).toMatchObject([{ event: { model: 'gpt-4o', dialect: 'OpenAI' } }]);
  });

  it('may leave the model out of the body: whoever goes by the body is told it', async () => {
    const { post, upstream } = await start(answer, { channel: { models } });
    expect((await post(`${deployment}?api-version=${apiVersion}`, chat)).status).toBe(200);
    expect((await post(deployment, { ...chat, model: null })).status).toBe(200);
    expect((await post(deployment, { ...chat, model: '' })).status).toBe(200);
    expect(upstream.requests.map(({ url }) => url)).toEqual(Array(3).fill('/v1/chat/completions'));
    for (const { body } of upstream.requests) expect(JSON.parse(body)).toEqual({ ...chat, model: 'our-gpt' });
  });

  it('and is told the deployment where it calls the model the same', async () => {
    const { post, upstream } = await start(answer);
    expect((await post(deployment, chat)).status).toBe(200);
    expect(JSON.parse(String(upstream.requests[0]?.body))).toEqual({ ...chat, model: 'gpt-4o' });
  });

  it('sends a form without a model', async () => {
    const { proxy, upstream } = await start(answer, { channel: { models: undefined } });
    const form = new FormData();
    form.set('file', await toFile(Buffer.alloc(40_000, 'a'), 'a.mp3', { type: 'audio/mpeg' }));
    const call = { method: 'POST', headers: { 'api-key': keyText }, body: form };
    expect((await fetch(`${proxy.url}/openai/deployments/whisper-1/audio/transcriptions`, call)).status).toBe(200);
    const [seen] = upstream.requests;
    const headers = { 'content-type': seen?.headers['content-type'] ?? '' };
    expect((await new Response(Buffer.from(seen?.body ?? ''), { headers }).formData()).get('model')).toBe('whisper-1');
  });

  it.each([
    ['another model in the body', deployment, { ...chat, model: 'gpt-4o-mini' }, { status: 400, param: 'model' }],
    [
      'another that is allowed too',
      '/openai/deployments/other/chat/completions',
      { ...chat, model: 'gpt-4o' },
      { status: 400, param: 'model' },
    ],
    ['a model that is not allowed', '/openai/deployments/other/chat/completions', chat, { status: 403, param: 'model' }],
    ['a name that is none', '/openai/deployments/gpt-*/chat/completions', chat, { status: 400, param: 'deployment' }],
  ])('is refused for %s', async (_what, path, body, { status, param }) => {
    const { post, upstream } = await start(answer, { key: { access: { models: ['gpt-4o', 'gpt-4o-mini'] } } });
    const got = await post(path, body);
    expect(got.status).toBe(status);
    expect(await got.json()).toMatchObject({ error: { param } });
    expect(upstream.requests).toEqual([]);
  });

  it('has OpenAI’s paths below /openai/v1, lists of models too', async () => {
    const { get, post, upstream } = await start(answer, { channel: { provider: 'AzureOpenAI', models } });
    expect((await post('/openai/v1/chat/completions', { ...chat, model: 'gpt-4o' })).status).toBe(200);
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/openai/v1/chat/completions']);
    expect(await (await get('/openai/v1/models')).json()).toMatchObject({ data: [{ id: 'gpt-4o' }] });
    expect(await (await get('/openai/v1/models/gpt-4o')).json()).toMatchObject({ id: 'gpt-4o' });
  });

  it.each(['/openai/deployments/a/moderations', '/openai/deployments', '/openai/responses/compact'])('has no %s', async (path) => {
    const got = await (await start(answer)).post(path, chat);
    expect(got.status).toBe(404);
    expect(await got.json()).toMatchObject({ error: { code: 'endpoint_not_supported' } });
  });
});

describe('a Channel of Azure', () => {
  it.each([
    ['/v1/responses', { model: 'gpt-4o', input: 'a', store: false }, `/openai/responses?api-version=${apiVersion}`],
    ['/v1/embeddings', { model: 'gpt-4o', input: 'a' }, `/openai/deployments/our-gpt/embeddings?api-version=${apiVersion}`],
    ['/v1/moderations', { model: 'gpt-4o', input: 'a' }, '/openai/v1/moderations'],
  ])('with a version is asked for %s at the path of it that there is', async (path, body, expected) => {
    const { post, upstream } = await start(answer, { channel: { provider: 'AzureOpenAI', apiVersion, models } });
    expect((await post(path, body)).status).toBe(200);
    expect(upstream.requests.map(({ url }) => url)).toEqual([expected]);
  });
});
