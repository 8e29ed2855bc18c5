import { describe, expect, it } from 'vitest';
import { required } from '../exchange.ts';
import type { Body, SurfaceDriver } from './dialect.ts';
import { toTyped } from './form-fields.ts';
import { messagesDriver } from './anthropic/messages.ts';
import { chatCompletionsDriver } from './openai/chat-completions.ts';
import { imageFormsDriver } from './openai/image-forms.ts';
import { moderationsDriver } from './openai/moderations.ts';
import { responsesDriver } from './openai/responses.ts';
import { speechDriver } from './openai/speech.ts';

const image = (url: string): object => ({ type: 'image_url', image_url: { url } });
const parse = (driver: SurfaceDriver, body: Body): object => driver.parseShape({ model: 'm', ...body }, required(driver.surfaces[0]), {});

describe('what an account keeps is refused', () => {
  it.each<[string, SurfaceDriver, Body]>([
    ['an answer in sound', chatCompletionsDriver, { messages: [{ role: 'assistant', audio: { id: 'audio_1' } }] }],
    ['a voice of its own', chatCompletionsDriver, { messages: [], audio: { voice: { id: 'voice_1' } } }],
    ['a voice of its own', speechDriver, { input: 'x', voice: { id: 'voice_1' } }],
    ['a bucket of the account', chatCompletionsDriver, { messages: [{ content: [image('gs://bucket/a.png')] }] }],
    ['a bucket of the account', chatCompletionsDriver, { messages: [{ content: [image(' S3://bucket/a.png')] }] }],
    ['an uploaded film', chatCompletionsDriver, { messages: [{ content: [{ type: 'video_url', video_url: { url: 'ms://f1' } }] }] }],
    ['the disk of the server', chatCompletionsDriver, { messages: [{ content: [{ type: 'image_url', image_url: 'file:///etc/a' }] }] }],
    ['a bucket of the account', responsesDriver, { input: [{ content: [{ type: 'input_file', file_url: 'gs://bucket/a.pdf' }] }] }],
    ['a bucket of the account', messagesDriver, { messages: [{ content: [{ type: 'image', source: { type: 'url', url: 'gs://b/a' } }] }] }],
    ['a bucket of the account', moderationsDriver, { input: [image('gs://bucket/a.png')] }],
    ['a bucket of the account', imageFormsDriver, { prompt: 'x', images: [{ image_url: 'gs://bucket/a.png' }] }],
  ])('%s', (_what, driver, body) => expect(parse(driver, body)).toMatchObject({ refusal: { code: 'unsupported_reference' } }));

  it.each(['https://a.example/?of=gs://b', 'HTTP://a.example', 'data:image/png;base64,AAAA', 'AAAA', 'www.a.example/a.png'])(
    'but not what is fetched as anybody may, or stands in the body: %s',
    (url) => {
      expect(parse(chatCompletionsDriver, { messages: [{ content: [image(url)] }] })).toHaveProperty('shape');
      expect(parse(responsesDriver, { input: [{ content: [{ type: 'input_image', image_url: url }] }] })).toHaveProperty('shape');
    },
  );

  it('nor what a text says', () =>
    expect(parse(chatCompletionsDriver, { messages: [{ content: 'gs://bucket/a' }] })).toHaveProperty('shape'));

  it('but not a voice of everybody’s', () => {
    expect(parse(chatCompletionsDriver, { messages: [], audio: { voice: 'alloy', format: 'wav' } })).toHaveProperty('shape');
    expect(parse(speechDriver, { input: 'x', voice: 'alloy' })).toHaveProperty('shape');
  });
});

describe('an item of a response has to be one that the key was shown', () => {
  it.each([
    [{ type: 'image_generation_call', id: 'ig_1', action: 'generate' }],
    [{ type: 'image_generation_call', id: 'ig_1', status: 'completed' }],
    [{ id: 'msg_1', role: 'assistant' }],
  ])('%j', (item) => expect(parse(responsesDriver, { input: [item] })).toMatchObject({ shape: { references: [{ id: item.id }] } }));

  it.each([[{ type: 'image_generation_call', id: 'ig_1', result: 'AAAA' }], [{ id: 'msg_1', role: 'assistant', content: 'x' }]])(
    'unless it stands for itself: %j',
    (item) => expect(parse(responsesDriver, { input: [item] })).not.toMatchObject({ shape: { references: [{ id: item.id }] } }),
  );
});

it('a field of a form that is called as the prototype is one of its own', () => {
  const typed = toTyped(JSON.parse('{"__proto__[quality]":"low","model":"m"}') as Body, { numbers: [], booleans: [] });
  expect([typed['quality'], typed['model']]).toEqual([undefined, 'm']);
});
