import { describe, expect, it } from 'vitest';
import { boundOf, type Price } from '../../../core/price.ts';
import { scanJson } from '../../bodies/json-scan.ts';
import type { Body, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { embedDriver } from './embed.ts';
import { generateDriver } from './generate.ts';

function surfaceOf({ surfaces }: SurfaceDriver, name: string): Surface {
  const surface = surfaces.find((each) => each.name === name);
  if (surface === undefined) throw new Error(`no surface ${name}`);
  return surface;
}

const generate = surfaceOf(generateDriver, 'generate_content');
const counting = surfaceOf(generateDriver, 'count_tokens');
const embed = surfaceOf(embedDriver, 'embed_content');
const batch = surfaceOf(embedDriver, 'batch_embed_contents');

function shapeOf(body: Body, surface = generate, model = 'm'): RequestShape {
  const driver = surface.operation === 'embeddings' ? embedDriver : generateDriver;
  const parsed = driver.parseShape(body, surface, { model });
  if ('refusal' in parsed) throw new Error(parsed.refusal.message);
  return parsed.shape;
}

describe('the shape', () => {
  it.each([
    ['nothing said', {}, { maxOutputTokens: undefined, choices: 1, stream: false, otherModels: [] }],
    ['bounds', { generationConfig: { maxOutputTokens: 100, candidateCount: 3 } }, { maxOutputTokens: 100, choices: 3 }],
    ['snake case', { generation_config: { max_output_tokens: 100, candidate_count: 3 } }, { maxOutputTokens: 100, choices: 3 }],
    ['numbers as text', { generationConfig: { maxOutputTokens: '100', candidateCount: '2' } }, { maxOutputTokens: 100, choices: 2 }],
    [
      'zeros and nulls, which say nothing',
      { generationConfig: { maxOutputTokens: 0, candidateCount: null } },
      { maxOutputTokens: undefined, choices: 1 },
    ],
    [
      'a budget of thoughts, which is inside the bound',
      { generationConfig: { maxOutputTokens: 100, thinkingConfig: { thinkingBudget: 9000 } } },
      { maxOutputTokens: 100 },
    ],
  ])('of %s', (_what, body, expected) => expect(shapeOf(body)).toMatchObject({ model: 'm', ...expected }));

  it('of a count or an embedding has no output', () => {
    expect(shapeOf({ generationConfig: { maxOutputTokens: 5 } }, counting)).toMatchObject({ maxOutputTokens: 0 });
    expect(shapeOf({ content: {} }, embed)).toMatchObject({ maxOutputTokens: 0, choices: 1 });
  });

  it.each([
    { candidateCount: 129 },
    { candidateCount: -1 },
    { maxOutputTokens: 1.5 },
    { maxOutputTokens: 1e12 },
    { maxOutputTokens: '' },
    { maxOutputTokens: true },
  ])('is refused for %o', (generationConfig) =>
    expect(generateDriver.parseShape({ generationConfig }, generate, { model: 'm' })).toMatchObject({
      refusal: { code: 'invalid_request', param: Object.keys(generationConfig)[0] },
    }),
  );

  it.each(['models/m', 'm', null])('takes %o for the model of the path', (model) => {
    expect(shapeOf({ model }).model).toBe('m');
    expect(shapeOf({ generateContentRequest: { model } }, counting).model).toBe('m');
    expect(shapeOf({ requests: [{ model }, {}] }, batch).model).toBe('m');
  });

  it.each(['models/M', 'tunedModels/m', 'models/models/m', '', 5, ['m']])('does not take %o', (model) => {
    const refusal = { refusal: { code: 'invalid_request', param: 'model' } };
    expect(generateDriver.parseShape({ model }, generate, { model: 'm' })).toMatchObject(refusal);
    expect(embedDriver.parseShape({ requests: [{ model }] }, batch, { model: 'm' })).toMatchObject(refusal);
  });

  it.each(['', '.', 'a b', 'x'.repeat(129), 'a/../b'])('does not take %o in the path', (model) =>
    expect(generateDriver.parseShape({}, generate, { model })).toMatchObject({ refusal: { param: 'model' } }),
  );
});

function measure(driver: SurfaceDriver, value: object, surface = generate): ReturnType<SurfaceDriver['measure']> {
  const scan = scanJson(Buffer.from(JSON.stringify(value)));
  if (!scan.ok) throw new Error(scan.refusal.message);
  return driver.measure(scan.body, surface);
}

const data = 'A'.repeat(4000);
const parts = [
  { inlineData: { mimeType: 'image/png', data } },
  { inline_data: { mime_type: 'audio/wav', data } },
  { inlineData: { mimeType: 'application/pdf', data } },
  { fileData: { mimeType: 'video/mp4', fileUri: 'gs://b/v.mp4' } },
  { fileData: { fileUri: 'https://youtu.be/abc' } },
  { functionResponse: { name: 'f', response: {}, parts: [{ inlineData: { mimeType: 'image/jpeg', data } }] } },
];

describe('what the model reads', () => {
  it('is text and media, by their types, wherever they stand', () => {
    const prompt = measure(generateDriver, { contents: [{ parts }] });
    expect(prompt).toMatchObject({ images: 2, audios: 1, audioBytes: 3000, files: 3, fileBytes: 3000 });
    expect(prompt.textBytes).toBeLessThan(600);
  });

  it('is a text that comes as a file, too', () => {
    const prompt = measure(generateDriver, { contents: [{ parts: [{ inlineData: { mimeType: 'text/plain', data } }] }] });
    expect(prompt.files).toBe(0);
    expect(prompt.textBytes).toBeGreaterThan(4000);
  });

  it('is no safety setting', () => {
    const contents = [{ parts: [{ text: 'Hello' }] }];
    const safetySettings = [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }];
    expect(measure(generateDriver, { contents, safetySettings }).textBytes).toBe(measure(generateDriver, { contents }).textBytes + 1);
  });

  it('of embeddings is the texts alone, of each request', () => {
    const content = { parts: [{ text: 'ab' }, { text: 'äö' }] };
    expect(measure(embedDriver, { model: 'models/m', content, title: 'xyz' }, embed).textBytes).toBe(9);
    expect(measure(embedDriver, { requests: [{ model: 'models/m', content }, { content }] }, batch).textBytes).toBe(12);
    expect(measure(embedDriver, { content: { parts } }, embed)).toMatchObject({ textBytes: 0, images: 2 });
  });
});

describe('what changes the price', () => {
  const fields = (body: Body, model?: string): object => generateDriver.toPriceFields(body, shapeOf({}, generate, model));

  it.each([
    [{}, { hasTools: false, webSearches: 0, units: [] }],
    [{ tools: [{ functionDeclarations: [] }] }, { hasTools: true, webSearches: 0 }],
    [{ tools: [{ googleSearch: {} }] }, { hasTools: true, webSearches: 10 }],
    [{ tools: [{ google_maps: {} }] }, { webSearches: 10 }],
    [{ generationConfig: { responseModalities: ['TEXT', 'IMAGE'] } }, { units: ['imageOutput'] }],
    [{ generation_config: { response_modalities: ['audio'] } }, { units: ['audioOutput'] }],
    [{ generationConfig: { responseModalities: [2, 3, 1] } }, { units: ['imageOutput', 'audioOutput'] }],
    [{ serviceTier: 'SERVICE_TIER_PRIORITY' }, { serviceTier: 'priority' }],
    [{ service_tier: 'flex' }, { serviceTier: 'flex' }],
    [{ serviceTier: 'unspecified' }, { serviceTier: undefined }],
  ])('%j', (body, expected) => expect(fields(body)).toMatchObject(expected));

  it('searches of models that are paid by the prompt are one', () => {
    const body = { tools: [{ googleSearch: {} }] };
    expect(fields(body, 'gemini-2.5-pro')).toMatchObject({ webSearches: 1 });
    expect(fields(body, 'gemini-3-pro')).toMatchObject({ webSearches: 10 });
  });

  it('images of an answer are reserved at their own price', () => {
    const price: Price = {
      rates: { input: { nanoUsd: 0 }, output: { nanoUsd: 2_500_000_000 }, imageOutput: { nanoUsd: 30_000_000_000 } },
      serviceTiers: {},
      unaskedThousandths: 1000,
    };
    expect(boundOf(price, { promptBytes: 1, maxOutputTokens: 1000, units: ['imageOutput'] })).toBe(30_000_000);
    expect(boundOf(price, { promptBytes: 1, maxOutputTokens: 1000 })).toBe(2_500_000);
  });
});
