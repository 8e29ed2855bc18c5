import { expect, it } from 'vitest';
import type { VirtualKey, VirtualKeySpec } from '../../core/resources.ts';
import type { ChannelView } from '../translate/channel-view.ts';
import { UserGroups } from './user-groups.ts';

const key = (namespace: string, spec: VirtualKeySpec = {}, changes: object = {}): VirtualKey => ({
  apiVersion: 'keywright.dev/v1alpha1',
  kind: 'VirtualKey',
  metadata: { name: 'k', namespace, ...changes },
  spec,
});
const channel = (namespaces: ChannelView['namespaces'] = 'All'): ChannelView => ({ id: 'platform/openai', provider: 'OpenAI', namespaces });

it('counts the keys that may use a Channel, by namespace, channels and providers', () => {
  const users = new UserGroups();
  for (let index = 0; index < 5; index += 1) users.set(`a/${index}`, key('a', { owner: { team: `t${index}` } }));
  users.set('b/1', key('b'));
  users.set('b/2', key('b', { access: { channels: ['platform/openai'] } }));
  users.set('b/3', key('b', { access: { channels: ['platform/other'] } }));
  users.set('b/4', key('b', { access: { providers: ['Gemini'] } }));
  expect(users.count(channel())).toBe(7);
  expect(users.count(channel(['b']))).toBe(2);
});

it('follows edits, ends and returns, and tells which of them matter', () => {
  const users = new UserGroups();
  expect(users.set('a/1', key('a'))).toBe(true);
  expect(users.set('a/1', key('a', { suspended: true, access: { models: ['x'] } }))).toBe(false);
  expect(users.set('a/1', key('a', { revoked: true }))).toBe(true);
  expect(users.count(channel())).toBe(0);
  expect(users.set('a/1', key('a', { revoked: true }))).toBe(false);
  expect(users.set('a/1', key('a'))).toBe(true);
  expect(users.set('a/1', key('a', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' }))).toBe(true);
  expect(users.set('a/1', undefined)).toBe(false);
  expect(users.count(channel())).toBe(0);
});
