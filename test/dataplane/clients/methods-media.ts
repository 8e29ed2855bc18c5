import type { Method } from './methods.ts';

const media = { families: ['openai', 'azure'], by: 'provider', metered: true, body: true } as const;
const images = { ...media, scope: 'images', model: 'gpt-image-1' } as const;
const audio = { ...media, scope: 'audio', model: 'gpt-4o-mini-transcribe' } as const;
const transcriptions = { ...audio, node: 'audio.transcriptions.create' } as const;

/** An upload; what it holds is nobody's business but the provider's. */
const toFile = (name: string, type: string, content: string): object => ({
  $file: name,
  type,
  base64: Buffer.from(content).toString('base64'),
});
const toImage = (content: string): object => toFile('image.png', 'image/png', content);
const toSound = (content: string): object => toFile('speech.mp3', 'audio/mpeg', content);

/** Pictures, sound and moderations of `openai` for Node and Python. */
export const mediaMethods: readonly Method[] = [
  {
    ...media,
    families: ['openai'],
    node: 'moderations.create',
    answer: 'value',
    scope: 'chat',
    model: 'omni-moderation-latest',
    call: ({ model, text }) => ({ parameters: { model, input: text } }),
    expected: 'flagged',
  },
  {
    ...images,
    node: 'images.generate',
    answer: 'value',
    call: ({ model, text }) => ({ parameters: { model, prompt: text } }),
    expected: 'b64_json',
  },
  {
    ...images,
    node: 'images.generate',
    answer: 'stream',
    call: ({ model, text }) => ({ parameters: { model, prompt: text, stream: true } }),
    expected: 'image_generation.completed',
  },
  {
    ...images,
    node: 'images.edit',
    answer: 'value',
    call: ({ model, text }) => ({ parameters: { model, image: toImage(text), prompt: 'As an oil painting' } }),
    expected: 'b64_json',
  },
  {
    ...images,
    families: ['openai'],
    node: 'images.createVariation',
    python: 'images.create_variation',
    answer: 'value',
    model: 'dall-e-2',
    call: ({ model, text }) => ({ parameters: { model, image: toImage(text) } }),
    expected: 'b64_json',
  },
  {
    ...audio,
    node: 'audio.speech.create',
    answer: 'bytes',
    model: 'gpt-4o-mini-tts',
    call: ({ model, text }) => ({ parameters: { model, voice: 'alloy', input: text } }),
    // the beginning of an ID3 tag
    expected: Buffer.from('ID3').toString('base64'),
  },
  {
    ...transcriptions,
    answer: 'value',
    call: ({ model, text }) => ({ parameters: { model, file: toSound(text) } }),
    expected: 'Grüße aus der Wolke',
  },
  {
    ...transcriptions,
    answer: 'stream',
    call: ({ model, text }) => ({ parameters: { model, file: toSound(text), stream: true } }),
    expected: 'transcript.text.done',
  },
  {
    ...audio,
    node: 'audio.translations.create',
    answer: 'value',
    model: 'whisper-1',
    call: ({ model, text }) => ({ parameters: { model, file: toSound(text) } }),
    expected: 'Greetings from the cloud',
  },
];
