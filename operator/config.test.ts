import { expect, it } from 'vitest';
import { parseOperatorConfig, toOperatorSettings } from './config.ts';

it('needs only the public address', () => {
  const parsed = parseOperatorConfig({ KEYWRIGHT_PUBLIC_URL: 'https://llm.example.com' });
  if (!parsed.ok) throw new Error(parsed.mistakes.join());
  expect(toOperatorSettings(parsed.config)).toEqual({
    namespace: 'keywright-system',
    snapshotNamespace: 'keywright-snapshot',
    watchNamespaces: [],
    publicUrl: 'https://llm.example.com',
    keyPrefix: 'sk-kw-',
    allowLinkLocal: false,
    crdCheck: true,
    tombstoneMs: 7_776_000_000,
  });
});

it('tells every mistake at once', () => {
  const parsed = parseOperatorConfig({
    KEYWRIGHT_NAMESPACE: 'same',
    KEYWRIGHT_SNAPSHOT_NAMESPACE: 'same',
    KEYWRIGHT_WATCH_NAMESPACES: 'a,B',
    KEYWRIGHT_PUBLIC_URL: 'https://llm.example.com/v1',
    KEYWRIGHT_KEY_PREFIX: 'SK',
    KEYWRIGHT_SEAL_KEY_FILE: '/does/not/exist',
  });
  expect(parsed).toEqual({
    ok: false,
    mistakes: [
      'KEYWRIGHT_WATCH_NAMESPACES must be a namespace\'s name, not "B"',
      'KEYWRIGHT_SNAPSHOT_NAMESPACE must differ from KEYWRIGHT_NAMESPACE: proxies may read all Secrets of the former',
      'KEYWRIGHT_KEY_PREFIX must be at most 24 lower-case letters, digits, - and _, and end in - or _, not "SK"',
      'KEYWRIGHT_PUBLIC_URL must be an address without user, query and fragment, and without /v1 at its end',
      'KEYWRIGHT_SEAL_KEY_FILE names a file that cannot be read (ENOENT)',
    ],
  });
});

it('tells what is wrong with the seal keys and the names beside values that cannot be read', () => {
  const parsed = parseOperatorConfig({ KEYWRIGHT_SETTLE: 'soon', KEYWRIGHT_SEAL_KEY_FILE: '/does/not/exist', KEYWRIGHT_NAMESPACE: 'B' });
  expect(parsed.ok ? [] : parsed.mistakes).toHaveLength(4);
});
