import { randomBytes } from 'node:crypto';
import type { Shape } from './budgets-scene.ts';

const base64 = randomBytes(15_000).toString('base64');
const image = randomBytes(30_000).toString('base64');
const text = 'Tell me of the sea. '.repeat(20);
const manyBytes = '海はひろいな大きいな🌊'.repeat(40);

/** As many tokens as a provider could make of it: for text one a byte. */
function ofText(name: string, dialect: Shape['dialect'], content: string, more: Partial<Shape> = {}): Shape {
  return { name, dialect, content, inputTokens: Buffer.byteLength(content), maxTokens: 200, outputTokens: 200, ...more };
}

export const capped: readonly Shape[] = [
  ofText('openai-text', 'OpenAI', text),
  ofText('openai-base64', 'OpenAI', base64),
  ofText('openai-choices', 'OpenAI', text, { choices: 4 }),
  ofText('openai-multibyte', 'OpenAI', manyBytes),
  {
    ...ofText('openai-image', 'OpenAI', text, { inputTokens: 765 + Buffer.byteLength(text) }),
    content: [
      { type: 'text', text },
      { type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } },
    ],
  },
  ofText('anthropic-text', 'Anthropic', text),
  ofText('anthropic-base64', 'Anthropic', base64),
  ofText('anthropic-multibyte', 'Anthropic', manyBytes),
];

/** The provider answers with more than what is reserved of an answer without a bound. */
export const uncapped: Shape = {
  name: 'openai-unbounded',
  dialect: 'OpenAI',
  content: text,
  inputTokens: Buffer.byteLength(text),
  outputTokens: 6_000,
};
/** What is reserved for the output of such a request before anything is learnt. */
export const firstGuess = 4_096;

export const long: Shape = ofText('openai-long', 'OpenAI', text, { maxTokens: 2_000, outputTokens: 2_000, chunks: 600, chunkDelayMs: 100 });
export const short: Shape = ofText('openai-short', 'OpenAI', text, { maxTokens: 20, outputTokens: 20, chunkDelayMs: 5 });
