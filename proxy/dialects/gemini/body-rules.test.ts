import { describe, expect, it } from 'vitest';
import { scanJson } from '../../bodies/json-scan.ts';
import { readGeminiBody } from './body-rules.ts';

function read(text: string): ReturnType<typeof readGeminiBody> {
  const scan = scanJson(Buffer.from(text));
  if (!scan.ok) throw new Error(scan.refusal.message);
  return readGeminiBody(scan.body);
}

const deep = (open: string, close: string, times: number): string => `${open.repeat(times)}1${close.repeat(times)}`;

describe('a body is looked at in one pass', () => {
  // each of these takes minutes when a part is read again for every part around it
  it.each([
    ['names of references inside each other', `{"x":${deep('{"fileUri":', '}', 100_000)}}`],
    ['lists of references inside each other', `{"x":${deep('{"fileSearchStoreNames":[', ']}', 100_000)}}`],
    ['requests inside each other', `{"requests":${deep('[{"requests":', '}]', 100_000)}}`],
    ['many requests', `{"requests":[${Array.from({ length: 100_000 }, () => '{"model":"models/m","content":{}}').join(',')}]}`],
    ['many short texts', `{"contents":[${Array.from({ length: 400_000 }, () => '{"text":"a"}').join(',')}]}`],
    ['a text of quotes', `{"contents":"${'\\"'.repeat(2_000_000)}"}`],
    ['a long reference', `{"x":{"cachedContent":"${'a/'.repeat(2_000_000)}"}}`],
  ])('%s', (_what, text) => {
    const startedMs = performance.now();
    expect(read(text)).toHaveProperty('modelPlaces');
    expect(performance.now() - startedMs).toBeLessThan(20_000);
  });
});

describe('references', () => {
  it.each([
    ['"fileUri":"files/a"', 'fileUri'],
    ['"file_uri":"\\thttps://generativelanguage.googleapis.com/v1beta/files/a"', 'file_uri'],
    ['"f\\u0069leUri":"files/a"', 'fileUri'],
    ['"fileUri":"gs://bucket/object"', 'fileUri'],
    ['"file_uri":"GS://bucket/object"', 'file_uri'],
    ['"fileUri":"g\\u0073://bucket/object"', 'fileUri'],
    ['"fileUri":"\\ngs://bucket/object"', 'fileUri'],
    ['"fileUri":"file:///etc/passwd"', 'fileUri'],
    ['"fileUri":"https:\\\\generativelanguage.googleapis.com/v1beta/files/a"', 'fileUri'],
    ['"fileUri":"https:///generativelanguage.googleapis.com/v1beta/files/a"', 'fileUri'],
    ['"fileSearchStoreNames":"fileSearchStores/a"', 'fileSearchStoreNames'],
    ['"file_search_store_names":[ "fileSearchStores/a"]', 'file_search_store_names'],
    ['"cachedContent":"cachedContents/a"', 'cachedContent'],
    ['"cachedContent":"projects/p/locations/l/cachedContents/a"', 'cachedContent'],
  ])('%s is one, wherever it stands', (member, param) =>
    expect(read(`{"a":[{"b":{${member}}}]}`)).toMatchObject({ refusal: { code: 'unsupported_reference', param } }),
  );

  it.each([
    '"fileUri":null',
    '"fileUri":""',
    '"fileUri":{"type":"STRING"}',
    '"fileUri":"https://www.youtube.com/watch?v=9hE5-98ZeCg"',
    '"fileUri":"HTTPS://bucket.s3.amazonaws.com/a.pdf?X-Amz-Signature=0"',
    '"fileUri":"http://example.com/a.png"',
    '"fileUri":"https://example.com/?x=https://generativelanguage.googleapis.com/"',
    '"fileSearchStoreNames":[]',
    '"cachedContent":"as they say"',
    '"text":"\\"fileUri\\":\\"files/a\\""',
  ])('%s is none', (member) => expect(read(`{"a":[{"b":{${member}}}]}`)).toEqual({ modelPlaces: [] }));

  it.each(['null', '""'])('nor is a cachedContent that is %s', (value) =>
    expect(read(`{"cachedContent":${value}}`)).toEqual({ modelPlaces: [] }),
  );
});

describe('spellings', () => {
  it.each([
    ['{"generationConfig":{},"generation_config":{}}', 'generationConfig'],
    ['{"generation_config":{},"generation_config":{}}', 'generationConfig'],
    ['{"GenerationConfig":{}}', 'generationConfig'],
    ['{"generationconfig":{}}', 'generationConfig'],
    ['{"g\\u0065nerationConfig":{}}', 'generationConfig'],
    ['{"generationConfig":{"candidate_count":1,"candidateCount":1}}', 'generationConfig.candidateCount'],
    [
      '{"generateContentRequest":{"generation_config":{"candidate_count":1,"candidateCount":1}}}',
      'generateContentRequest.generationConfig.candidateCount',
    ],
    ['{"requests":[{},{"model":"a","model":"a"}]}', 'requests.model'],
    ['{"requests":{"model":"a","Model":"a"}}', 'requests.model'],
  ])('%s can be read in two ways', (text, param) => expect(read(text)).toMatchObject({ refusal: { code: 'invalid_request', param } }));

  it.each([
    '{"generation_config":{"max_output_tokens":1}}',
    '{"generationConfig":{"maxOutputTokens":1}}',
    '{"generationConfig":null,"requests":[1,null,[]]}',
  ])('%s cannot', (text) => expect(read(text)).toEqual({ modelPlaces: [] }));

  it('of the model are found below the top level, with their places', () => {
    const text = '{"model":"m","requests":[{"model":"a"},{"content":{"model":"b"}},{"model": "c" }]}';
    const seen = read(text);
    const places = 'refusal' in seen ? [] : seen.modelPlaces;
    expect(places.map(({ valueStart, valueEnd }) => text.slice(valueStart, valueEnd))).toEqual(['"a"', '"c"']);
  });
});
