import { describe, expect, it } from 'vitest';
import { required } from '../exchange.ts';
import type { Body, SurfaceDriver } from './dialect.ts';
import { toTyped } from './form-fields.ts';
import { chatCompletionsDriver } from './openai/chat-completions.ts';
import { responsesDriver } from './openai/responses.ts';
import { speechDriver } from './openai/speech.ts';

const parse = (driver: SurfaceDriver, body: Body): object => driver.parseShape({ model: 'm', ...body }, required(driver.surfaces[0]), {});

describe('what an account keeps is refused', () => {
  it.each<[string, SurfaceDriver, Body]>([
    ['an answer in sound', chatCompletionsDriver, { messages: [{ role: 'assistant', audio: { id: 'audio_1' } }] }],
    ['a voice of its own', chatCompletionsDriver, { messages: [], audio: { voice: { id: 'voice_1' } } }],
    ['a voice of its own', speechDriver, { input: 'x', voice: { id: 'voice_1' } }],
  ])('%s', (_what, driver, body) => expect(parse(driver, body)).toMatchObject({ refusal: { code: 'unsupported_reference' } }));

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
