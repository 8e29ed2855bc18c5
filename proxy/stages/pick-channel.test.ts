import { describe, expect, it } from 'vitest';
import { chatAnswer } from '../../test/support/chat.ts';
import { answerJson, type UpstreamHandler } from '../../test/support/test-upstream.ts';
import { type OneChannel, useOneChannel } from '../../test/support/one-channel.ts';

const start = useOneChannel();
const answering: UpstreamHandler = (_request, response) => answerJson(response, chatAnswer);
const messages = [{ role: 'user', content: 'Hello' }];
const bodyOf = ({ upstream }: OneChannel): unknown => JSON.parse(upstream.requests.at(-1)?.body ?? 'null');

describe('channel/model', () => {
  it('asks that channel for the plain name, which is checked, counted and sent', async () => {
    const scene = await start(answering, {
      channel: { models: [{ name: 'gpt-4o', upstreamName: 'theirs' }] },
      key: { access: { models: ['gpt-4o'] } },
    });
    for (const model of ['openai/gpt-4o', 'gpt-4o']) {
      expect((await scene.post('/v1/chat/completions', { model, messages })).status).toBe(200);
      expect(bodyOf(scene)).toEqual({ model: 'theirs', messages });
    }
    expect(scene.proxy.accessLines().map(({ model }) => model)).toEqual(['gpt-4o', 'gpt-4o']);
    expect((await scene.post('/v1/chat/completions', { model: 'openai/o3', messages })).status).toBe(403);
    expect((await scene.post('/v1/chat/completions', { model: 'anthropic/gpt-4o', messages })).status).toBe(403);
  });

  it('sends the plain name where the provider calls the model just so', async () => {
    const scene = await start(answering);
    await scene.post('/v1/embeddings', { model: 'openai/m', input: 'x' });
    expect(bodyOf(scene)).toEqual({ model: 'm', input: 'x' });
  });
});
