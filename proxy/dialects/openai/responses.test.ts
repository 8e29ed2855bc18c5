import { describe, expect, it } from 'vitest';
import type { JsonBody } from '../../bodies/json-scan.ts';
import { scanJson } from '../../bodies/json-scan.ts';
import type { Body } from '../dialect.ts';
import { responsesDriver } from './responses.ts';

const surface = responsesDriver.surfaces.find(({ name }) => name === 'responses');
if (surface === undefined) throw new Error('the surface is missing');

const parse = (body: Body): ReturnType<typeof responsesDriver.parseShape> =>
  responsesDriver.parseShape({ model: 'gpt-5', ...body }, surface, {});

function bodyOf(value: object): JsonBody {
  const scan = scanJson(Buffer.from(JSON.stringify(value)));
  if (!scan.ok) throw new Error(scan.refusal.message);
  return scan.body;
}

describe('the shape of a Responses request', () => {
  it.each<[string, Body, object]>([
    ['nothing else', {}, { model: 'gpt-5', stream: false, maxOutputTokens: undefined, choices: 1, otherModels: [], asksUsage: true }],
    ['a stream with a bound', { stream: true, max_output_tokens: 99 }, { stream: true, maxOutputTokens: 99 }],
    ['a bound of 0, which is none', { max_output_tokens: 0 }, { maxOutputTokens: undefined }],
    ['background', { background: true, max_output_tokens: 9 }, { runsOn: true }],
    [
      'models of tools, wherever they stand, of fallbacks and of the moderation',
      {
        models: ['o9'],
        tools: [
          { type: 'image_generation', model: 'gpt-image-1' },
          { type: 'namespace', tools: [{ type: 'x', model: 'deep' }] },
          { type: 'function', parameters: { properties: { model: 'free text' } } },
        ],
        moderation: { model: 'omni-moderation' },
      },
      { otherModels: expect.toSatisfy((given: string[]) => given.toSorted().join() === 'deep,gpt-image-1,o9,omni-moderation') },
    ],
  ])('with %s', (_what, body, shape) => expect(parse(body)).toMatchObject({ shape }));

  it.each<[Body, string]>([
    [{ model: 'a b' }, 'model'],
    [{ stream: 1 }, 'stream'],
    [{ store: 'no' }, 'store'],
    [{ Store: false }, 'Store'],
    [{ PREVIOUS_RESPONSE_ID: 'resp_1' }, 'PREVIOUS_RESPONSE_ID'],
    [{ background: true }, 'max_output_tokens'],
    [{ background: true, max_output_tokens: 0 }, 'max_output_tokens'],
    [{ moderation: { model: 'a/../b' } }, 'moderation'],
    [{ moderation: { MODEL: 'a' } }, 'moderation'],
    [{ Moderation: { model: 'a' } }, 'moderation'],
    [{ tools: [{ type: 'namespace', tools: [{ MODEL: 'x' }] }] }, 'tools'],
    [{ tools: [{ type: 'namespace', tools: [{ model: '..' }] }] }, 'tools'],
  ])('%j is refused', (body, param) => expect(parse(body)).toMatchObject({ refusal: { code: 'invalid_request', param } }));
});

describe('what an account keeps', () => {
  it.each<[Body, string]>([
    [{ prompt: { id: 'pmpt_1' } }, 'prompt'],
    [{ conversation: 'conv_1' }, 'conversation'],
    [{ conversation: { id: 'conv_1' } }, 'conversation'],
    [{ input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }] }, 'input[0].content[0].file_id'],
    [
      { input: [{ type: 'function_call_output', call_id: 'c', output: [{ type: 'input_image', file_id: 'file-1' }] }] },
      'input[0].output[0].file_id',
    ],
    [{ input: [{ type: 'code_interpreter_call', id: 'ci_1', container_id: 'cntr_1' }] }, 'input[0].container_id'],
    [{ tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }] }, 'tools[0].vector_store_ids'],
    [{ tools: [{ type: 'code_interpreter', container: 'cntr_1' }] }, 'tools[0].container'],
    [{ tools: [{ type: 'code_interpreter', container: { type: 'auto', file_ids: ['file-1'] } }] }, 'tools[0].container.file_ids'],
    [{ tools: [{ type: 'image_generation', input_image_mask: { file_id: 'file-1' } }] }, 'tools[0].input_image_mask.file_id'],
    [{ tools: [{ type: 'shell', environment: { skills: [{ skill_id: 'skill_1' }] } }] }, 'tools[0].environment.skills[0].skill_id'],
    [{ tools: [{ type: 'mcp', server_label: 'x', tunnel_id: 't' }] }, 'tools[0].tunnel_id'],
  ])('%j is refused, and the place is named', (body, param) =>
    expect(parse(body)).toMatchObject({ refusal: { code: 'unsupported_reference', param } }),
  );

  it.each<[string, Body]>([
    ['nulls', { conversation: null, prompt: null, input: [{ content: [{ file_id: null, file_data: 'x' }] }] }],
    ['a container of its own', { tools: [{ type: 'code_interpreter', container: { type: 'auto', file_ids: [] } }] }],
    ['names in a schema', { tools: [{ type: 'function', parameters: { properties: { file_id: { type: 'string' } } } }] }],
    ['names in metadata', { metadata: { file_id: 'mine' } }],
  ])('%s are not that', (_what, body) => expect(parse(body)).toMatchObject({ shape: {} }));
});

describe('measure and price', () => {
  it('images and files are no text', () => {
    const data = 'A'.repeat(4000);
    const prompt = responsesDriver.measure(
      bodyOf({
        model: 'gpt-5',
        input: [
          {
            role: 'user',
            content: [
              { type: 'input_text', text: 'Hello' },
              { type: 'input_image', image_url: `data:image/png;base64,${data}` },
              { type: 'input_file', file_data: data },
            ],
          },
        ],
      }),
      surface,
    );
    expect(prompt).toMatchObject({ images: 1, files: 1, fileBytes: 3000 });
    expect(prompt.textBytes).toBeLessThan(300);
  });

  it.each<[Body, object]>([
    [{}, { hasTools: false, webSearches: 0, units: [] }],
    [{ tools: [{ type: 'web_search' }] }, { hasTools: true, webSearches: 10 }],
    [{ tools: [{ type: 'web_search_preview_2025_03_11' }], max_tool_calls: 3 }, { webSearches: 3 }],
    [{ tools: [{ type: 'web_search' }], max_tool_calls: -1 }, { webSearches: 10 }],
    [{ service_tier: 'flex' }, { serviceTier: 'flex' }],
  ])('%j has its price', (body, fields) => expect(responsesDriver.toPriceFields(body)).toMatchObject(fields));
});
