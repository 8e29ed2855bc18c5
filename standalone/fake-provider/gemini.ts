import { type Answer, type FakeAnswer, type FakeRequest, fakeUsage, field, toPieces } from './behaviour.ts';

const json = { 'content-type': 'application/json; charset=UTF-8' };
const callPattern = /^\/v1(?:beta)?\/models\/([^/]+):([A-Za-z]+)$/;

/** Whether a path is a call of Gemini's API: OpenAI's have no verb behind a colon. */
export function isGeminiCall(path: string): boolean {
  return callPattern.test(path);
}

/** An answer of Gemini's API for what is called on a model; its 404 for everything else. */
export function answerGemini({ path, query, json: body }: FakeRequest, override: FakeAnswer): Answer {
  const [, model = '', verb = ''] = callPattern.exec(path) ?? [];
  const { usage = fakeUsage } = override;
  switch (verb) {
    case 'generateContent':
      return toWhole(toContent(model, toPieces(override.chunks).join(''), toUsage(override, usage.output)));
    case 'streamGenerateContent':
      return toStream(model, override, new URLSearchParams(query).get('alt') === 'sse');
    case 'countTokens':
      return toWhole({ totalTokens: usage.input, promptTokensDetails: [{ modality: 'TEXT', tokenCount: usage.input }] });
    case 'embedContent':
      return toWhole({ embedding });
    case 'batchEmbedContents': {
      const requests = field(body, 'requests');
      return toWhole({ embeddings: Array.isArray(requests) ? requests.map(() => embedding) : [] });
    }
    default:
      return { status: 404, headers: json, body: JSON.stringify(toGeminiError(404, 'Requested entity was not found.')) };
  }
}

const embedding = { values: [0.0125, -0.25, 0.5] };

/** google.rpc.Code as HTTP has them. Source: AIP-193. */
export function toGeminiError(status: number, message: string): object {
  const codes: Record<number, string> = {
    400: 'INVALID_ARGUMENT',
    401: 'UNAUTHENTICATED',
    403: 'PERMISSION_DENIED',
    404: 'NOT_FOUND',
    429: 'RESOURCE_EXHAUSTED',
    500: 'INTERNAL',
    503: 'UNAVAILABLE',
    504: 'DEADLINE_EXCEEDED',
  };
  return { error: { code: status, message, status: codes[status] ?? 'UNKNOWN' } };
}

/** Every element tells the usage until then; the last one why it ended. Without `alt=sse` they are a list. */
function toStream(model: string, override: FakeAnswer, asEvents: boolean): Answer {
  const { usage = fakeUsage } = override;
  const pieces = toPieces(override.chunks);
  const elements = pieces.map((text, index) => {
    const isLast = index === pieces.length - 1;
    const output = isLast ? usage.output : Math.min(index + 1, usage.output);
    return JSON.stringify(toContent(model, text, toUsage(override, output), isLast));
  });
  if (asEvents) return { status: 200, headers: {}, events: elements.map((element) => `data: ${element}\r\n\r\n`) };
  return { status: 200, headers: json, events: elements.map((element, index) => `${index === 0 ? '[' : ',\r\n'}${element}`).concat(']') };
}

function toContent(model: string, text: string, usageMetadata: object, isLast = true): object {
  const candidate = { content: { parts: [{ text }], role: 'model' }, ...(isLast ? { finishReason: 'STOP' } : {}), index: 0 };
  return { candidates: [candidate], usageMetadata, modelVersion: model, responseId: 'fake' };
}

/** Thoughts stand beside the candidates here, and a count of 0 is left away. */
function toUsage({ usage = fakeUsage }: FakeAnswer, output: number): object {
  const { cachedInput = 0, reasoning = 0 } = usage;
  const thoughts = Math.min(reasoning, output);
  return {
    promptTokenCount: usage.input,
    candidatesTokenCount: output - thoughts,
    totalTokenCount: usage.input + output,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: usage.input }],
    ...(cachedInput > 0 ? { cachedContentTokenCount: cachedInput } : {}),
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
  };
}

function toWhole(body: object): Answer {
  return { status: 200, headers: json, body: JSON.stringify(body) };
}
