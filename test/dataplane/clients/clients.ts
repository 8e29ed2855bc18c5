import type { Dialect } from '../../../core/refusals.ts';
import { sdkTable } from '../sdk-table.ts';

/** Which of an SDK's classes is made, and so which methods it has. */
export type Family = 'openai' | 'azure' | 'anthropic' | 'gemini';

/** One official client as a program makes it. */
export interface Client {
  readonly id: string;
  readonly family: Family;
  readonly language: 'Node' | 'Python';
  /** as its package registry calls it, and what Node imports where that differs */
  readonly sdk: string;
  readonly module?: string;
  readonly version: string;
  readonly dialect: Dialect;
  /** what follows the gateway's address in its base URL */
  readonly base: string;
  readonly apiVersion?: string;
  /** the class of the exception that it raises for a status */
  toException(status: number): string;
  /** the class that it raises for an error inside a stream */
  toStreamException(status: number): string;
  /** whether it tries again by itself what may be tried again */
  readonly retries: boolean;
}

const common: Readonly<Record<number, string>> = {
  400: 'BadRequestError',
  401: 'AuthenticationError',
  403: 'PermissionDeniedError',
  404: 'NotFoundError',
  429: 'RateLimitError',
};

function byStatus(classes: Readonly<Record<number, string>>, other: string): Client['toException'] {
  return (status) => classes[status] ?? (status >= 500 ? 'InternalServerError' : other);
}

/** Anthropic's newer SDKs have a class for nearly each status. */
const anthropicClasses = {
  ...common,
  413: 'ContentTooLargeError',
  431: 'RequestHeaderFieldsTooLargeError',
  503: 'ServiceUnavailableError',
  504: 'GatewayTimeoutError',
  529: 'OverloadedError',
};

function versionOf(sdk: string, language: Client['language'], major = ''): string {
  const row = sdkTable.find((each) => each.sdk === sdk && each.language === language && each.version.startsWith(major));
  if (row === undefined) throw new Error(`sdk-table.ts has no ${sdk} ${major} for ${language}`);
  return row.version;
}

const openaiNode = {
  family: 'openai',
  language: 'Node',
  sdk: 'openai',
  version: versionOf('openai', 'Node'),
  dialect: 'OpenAI',
  base: '/v1',
  toException: byStatus(common, 'APIError'),
  toStreamException: () => 'APIError',
  retries: true,
} as const;
const openaiPython = {
  ...openaiNode,
  language: 'Python',
  version: versionOf('openai', 'Python'),
  toException: byStatus(common, 'APIStatusError'),
} as const;
/** Its SDK has the paths in itself. */
const azure = { family: 'azure', base: '', apiVersion: '2025-04-01-preview' } as const;
const anthropicNode = {
  family: 'anthropic',
  language: 'Node',
  sdk: '@anthropic-ai/sdk',
  dialect: 'Anthropic',
  base: '',
  toException: byStatus(common, 'APIError'),
  toStreamException: () => 'APIError',
  retries: true,
} as const;

const genaiNode = {
  family: 'gemini',
  language: 'Node',
  sdk: '@google/genai',
  version: versionOf('@google/genai', 'Node'),
  dialect: 'Gemini',
  base: '',
  toException: () => 'ApiError',
  toStreamException: () => 'ApiError',
  retries: false,
} as const;
const toGenaiException = (status: number): string => (status >= 500 ? 'ServerError' : 'ClientError');
const genaiPython = {
  ...genaiNode,
  language: 'Python',
  sdk: 'google-genai',
  version: versionOf('google-genai', 'Python'),
  toException: toGenaiException,
  toStreamException: toGenaiException,
} as const;

export const clients: readonly Client[] = [
  { ...openaiNode, id: 'OpenAI (Node)' },
  { ...openaiPython, id: 'OpenAI (Python)' },
  { ...openaiNode, ...azure, id: 'AzureOpenAI (Node)' },
  { ...openaiPython, ...azure, id: 'AzureOpenAI (Python)' },
  {
    ...anthropicNode,
    id: 'Anthropic 1.x (Node)',
    version: versionOf('@anthropic-ai/sdk', 'Node', '1.'),
    toException: byStatus(anthropicClasses, 'APIError'),
  },
  { ...anthropicNode, id: 'Anthropic 0.x (Node)', module: 'anthropic-sdk-0', version: versionOf('@anthropic-ai/sdk', 'Node', '0.') },
  {
    ...anthropicNode,
    id: 'Anthropic (Python)',
    language: 'Python',
    sdk: 'anthropic',
    version: versionOf('anthropic', 'Python'),
    toException: byStatus(anthropicClasses, 'APIStatusError'),
    toStreamException: () => 'APIStatusError',
  },
  ...['v1beta', 'v1'].flatMap((apiVersion): Client[] => [
    { ...genaiNode, id: `Gemini ${apiVersion} (Node)`, apiVersion },
    { ...genaiPython, id: `Gemini ${apiVersion} (Python)`, apiVersion },
  ]),
];
