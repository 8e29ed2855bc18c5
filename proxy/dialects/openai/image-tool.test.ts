import { describe, expect, it } from 'vitest';
import type { KeyRecord } from '../../../core/snapshot.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../../../test/support/records.ts';
import { answerJson } from '../../../test/support/test-upstream.ts';
import { useProxy } from '../../../test/support/use-proxy.ts';
import { required } from '../../exchange.ts';
import { responsesDriver } from './responses.ts';

const startProxy = useProxy();
const price = { input: 1e9, output: 10e9 };

interface Asked {
  readonly status: number;
  readonly forwarded: number;
  readonly error: { readonly code: string; readonly param: string | null; readonly message: string } | undefined;
}

async function ask(access: KeyRecord['access'], fields: object, headers: Record<string, string> = {}): Promise<Asked> {
  const { proxy, upstream } = await startProxy(
    (_request, response) => answerJson(response, { id: 'resp_1', output: [], usage: { input_tokens: 1, output_tokens: 1 } }),
    (url) => ({ channels: [makeChannelRecord(url, { models: [{ name: '*', price }] })], keys: [makeKeyRecord({ access })] }),
  );
  const response = await fetch(`${proxy.url}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'gpt-5', input: 'x', store: false, ...fields }),
  });
  const { error } = (await response.json()) as Pick<Asked, 'error'>;
  return { status: response.status, forwarded: upstream.requests.length, error };
}

const draws = { tools: [{ type: 'image_generation', quality: 'low' }] };
const drawsWith = (model: unknown): object => ({ tools: [{ type: 'image_generation', model }] });
const served = { status: 200, forwarded: 1 };
const forbidden = { status: 403, forwarded: 0, error: { code: 'model_not_allowed' } };

describe('the tool that makes images names no model, and the provider takes one', () => {
  it('so that a key has to be allowed all of them, and is told what to name', async () => {
    for (const models of [['gpt-5'], ['gpt-5', 'gpt-image-1'], ['gpt-5', 'gpt-image-1*']]) {
      const { error, ...rest } = await ask({ models }, draws);
      expect({ ...rest, error }).toMatchObject({ ...forbidden, error: { code: 'model_not_allowed', param: 'tools' } });
      expect(error?.message).toContain('Name one in the tool');
    }
    expect(await ask({ models: ['gpt-5', 'gpt-image-*'] }, draws)).toMatchObject(served);
    expect(await ask({}, draws)).toMatchObject(served);
  });

  it('unless it names one, which has to be allowed', async () => {
    const models = ['gpt-5', 'gpt-image-1'];
    expect(await ask({ models }, drawsWith('gpt-image-1'))).toMatchObject(served);
    expect(await ask({ models }, drawsWith('gpt-image-2'))).toMatchObject(forbidden);
    expect(await ask({ models }, drawsWith(null))).toMatchObject(forbidden);
    expect(await ask({ models }, drawsWith(''))).toMatchObject({ status: 400, forwarded: 0 });
    // one of two
    expect(await ask({ models }, { tools: [{ type: 'image_generation', model: 'gpt-image-1' }, ...draws.tools] })).toMatchObject(forbidden);
  });

  it('also where the tool comes as what a search for tools has found', async () => {
    const found = (tool: object): object => ({ input: [{ type: 'tool_search_output', call_id: 'c', tools: [tool] }] });
    const models = ['gpt-5', 'gpt-image-1'];
    expect(await ask({ models }, found({ type: 'image_generation' }))).toMatchObject(forbidden);
    expect(await ask({ models }, found({ type: 'image_generation', model: 'gpt-image-2' }))).toMatchObject(forbidden);
    expect(await ask({ models }, found({ type: 'image_generation', Model: 'gpt-image-1' }))).toMatchObject({
      status: 400,
      error: { param: 'input' },
    });
    expect(await ask({ models }, found({ type: 'image_generation', model: 'gpt-image-1' }))).toMatchObject(served);
    const listed = { type: 'mcp_list_tools', tools: [{ name: 'a', annotations: { model: 'gpt-image-2' } }] };
    expect(await ask({ models }, { input: [listed] })).toMatchObject(served);
  });

  it('nor does a tool of the client’s own that is called so', async () => {
    const tools = [{ type: 'function', name: 'image_generation', parameters: { properties: { type: { enum: ['image_generation'] } } } }];
    expect(await ask({ models: ['gpt-5'] }, { tools })).toMatchObject(served);
  });
});

describe('at Azure a header names it', () => {
  const header = 'x-ms-oai-image-generation-deployment';
  const models = ['gpt-5', 'drawing'];

  it('and has to be allowed like a field', async () => {
    expect(await ask({ models }, draws, { [header]: 'drawing' })).toMatchObject(served);
    expect(await ask({ models }, draws, { [header]: 'gpt-image-2' })).toMatchObject({ ...forbidden, error: { param: 'model' } });
    expect(await ask({ models }, drawsWith('gpt-image-2'), { [header]: 'drawing' })).toMatchObject(forbidden);
    expect(await ask({ models }, draws, { [header]: '../drawing' })).toMatchObject({ status: 400, forwarded: 0 });
    // nobody draws
    expect(await ask({ models }, {}, { [header]: 'gpt-image-2' })).toMatchObject(served);
  });
});

it('what may be drawn with is part of what a request is priced by', () => {
  const parsed = responsesDriver.parseShape({ model: 'gpt-5', input: 'x', ...draws }, required(responsesDriver.surfaces[0]), {});
  expect(parsed).toMatchObject({
    shape: { drawsImages: true, otherModels: ['gpt-image-1', 'gpt-image-1-mini', 'gpt-image-1.5', 'gpt-image-2'] },
  });
});
