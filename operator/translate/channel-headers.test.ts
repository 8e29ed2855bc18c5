import { expect, it } from 'vitest';
import type { ChannelSpec } from '../../core/resources.ts';
import { checkHeaders } from './channel-headers.ts';

const spec: ChannelSpec = { provider: 'OpenAI' };

it.each<[string, Partial<ChannelSpec>, string]>([
  ['a line break', { headers: { 'x-team': 'a\nb' } }, 'spec.headers "x-team" has a value that cannot be sent in a header'],
  ['letters beyond ISO 8859-1', { headers: { 'x-team': '日本' } }, 'spec.headers "x-team" has a value that cannot be sent in a header'],
  ['how a connection is kept', { headers: { 'Keep-Alive': '5' } }, 'spec.headers "Keep-Alive" is a header of the message itself'],
  ['an upgrade', { headers: { upgrade: 'h2c' } }, 'spec.headers "upgrade" is a header of the message itself'],
  ['an expectation', { headers: { expect: '100-continue' } }, 'spec.headers "expect" is a header of the message itself'],
  ['the credential as a length', { auth: { header: 'Content-Length' } }, 'spec.auth.header is a header of the message itself'],
  ['the credential as a host', { auth: { header: 'host' } }, 'spec.auth.header is a header of the message itself'],
  ['a project', { project: 'a\rb' }, 'spec.project cannot be sent in a header'],
  ['a version that is sent', { provider: 'Anthropic', apiVersion: '2023\n' }, 'spec.apiVersion cannot be sent in a header'],
])('%s cannot be sent', (_what, change, message) => {
  expect(checkHeaders({ ...spec, ...change })).toEqual({ reason: 'InvalidHeader', message, stalled: true });
});

it.each<[string, Partial<ChannelSpec>]>([
  ['nothing', {}],
  [
    'usual ones',
    { headers: { 'x-team': 'caf\u00e9, "a"\tb', 'content-type': 'text/plain' }, project: 'proj_1', auth: { header: 'x-key', scheme: '' } },
  ],
  ['a version that stands in a path', { provider: 'AzureOpenAI', apiVersion: '2024-10-21' }],
])('%s can', (_what, change) => {
  expect(checkHeaders({ ...spec, ...change })).toBeUndefined();
});
