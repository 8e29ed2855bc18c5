import { inspect } from 'node:util';
import { expect, expectTypeOf, test } from 'vitest';
import { type Address, defineSettings, type Hidden, parseSettings, toSettingsRows } from './environment.ts';

const table = defineSettings({
  listen: { name: 'KEYWRIGHT_LISTEN', kind: 'address', default: '0.0.0.0:8080', description: 'where clients connect' },
  replicas: { name: 'KEYWRIGHT_REPLICAS', kind: 'integer', minimum: 1, default: '1', description: 'how many proxies' },
  wait: { name: 'KEYWRIGHT_WAIT', kind: 'duration', minimum: 100, maximum: 5_400_000, description: 'how long' },
  policy: { name: 'KEYWRIGHT_POLICY', kind: 'choice', choices: ['Open', 'Closed'], default: 'Closed', description: 'what if' },
  trusted: { name: 'KEYWRIGHT_TRUSTED', kind: 'list', description: 'who | whom' },
  verbose: { name: 'KEYWRIGHT_VERBOSE', kind: 'boolean', default: 'false', description: 'talk more' },
  redis: {
    name: 'KEYWRIGHT_REDIS_URL',
    kind: 'url',
    protocols: ['redis', 'rediss'],
    secret: true,
    description: 'where limits are counted',
  },
  namespace: { name: 'KEYWRIGHT_NAMESPACE', kind: 'text', required: true, description: 'where the process lives' },
});

test('values have the types and units of their kinds', () => {
  const parsed = parseSettings(table, {
    KEYWRIGHT_LISTEN: '[::1]:0',
    KEYWRIGHT_WAIT: '1h30m',
    KEYWRIGHT_TRUSTED: '10.0.0.0/8, 192.168.0.0/16',
    KEYWRIGHT_REDIS_URL: 'redis://:pw@localhost',
    KEYWRIGHT_NAMESPACE: ' keywright ',
    KEYWRIGHT_REPLICAS: '',
    KEYWRIGHT_PROXY_SERVICE_HOST: '10.0.0.7',
  });
  if (!parsed.ok) throw new Error(parsed.mistakes.join());
  const { settings } = parsed;
  expect(settings).toMatchObject({
    listen: { host: '::1', port: 0 },
    replicas: 1,
    wait: 5_400_000,
    policy: 'Closed',
    trusted: ['10.0.0.0/8', '192.168.0.0/16'],
    verbose: false,
    namespace: 'keywright',
  });
  expect(settings.redis?.reveal()).toBe('redis://:pw@localhost');
  expectTypeOf(settings.listen).toEqualTypeOf<Address>();
  expectTypeOf(settings.wait).toEqualTypeOf<number | undefined>();
  expectTypeOf(settings.policy).toEqualTypeOf<'Open' | 'Closed'>();
  expectTypeOf(settings.trusted).toEqualTypeOf<readonly string[]>();
  expectTypeOf(settings.redis).toEqualTypeOf<Hidden | undefined>();
  expectTypeOf(settings.namespace).toEqualTypeOf<string>();
});

test('all mistakes are told at once, each with the name of its variable', () => {
  const parsed = parseSettings(table, {
    KEYWRIGHT_LISTEN: 'localhost:99999',
    KEYWRIGHT_REPLICAS: '0',
    KEYWRIGHT_WAIT: '2h',
    KEYWRIGHT_POLICY: 'closed',
    KEYWRIGHT_VERBOSE: 'yes',
    KEYWRIGHT_REDIS_URL: 'http://:hunter2@localhost',
  });
  expect(parsed).toMatchObject({
    ok: false,
    mistakes: [
      'KEYWRIGHT_LISTEN must be host:port, not "localhost:99999"',
      'KEYWRIGHT_REPLICAS must be at least 1, not "0"',
      'KEYWRIGHT_WAIT must be at most 5400000ms, not "2h"',
      'KEYWRIGHT_POLICY must be one of Open, Closed, not "closed"',
      'KEYWRIGHT_VERBOSE must be true or false, not "yes"',
      'KEYWRIGHT_REDIS_URL must be a URL that begins with redis:// or rediss://',
      'KEYWRIGHT_NAMESPACE is required: where the process lives',
    ],
  });
});

test('what is right is there for further checks beside the mistakes', () => {
  const parsed = parseSettings(table, { KEYWRIGHT_NAMESPACE: 'x', KEYWRIGHT_LISTEN: 'nonsense' });
  expect(parsed).toMatchObject({ ok: false, readable: { namespace: 'x' } });
  expect(parsed.ok || 'listen' in parsed.readable).toBe(false);
});

test.each(['8080', 'host:', 'a:b:1', '[::1]', 'host:-1', 'ho st:1'])('%j is no address', (text) => {
  expect(parseSettings(table, { KEYWRIGHT_NAMESPACE: 'x', KEYWRIGHT_LISTEN: text }).ok).toBe(false);
});

test.each(['5', '5 s', '1.5s', '-1s', 's', '99ms', '1w'])('%j is no duration of the table', (text) => {
  expect(parseSettings(table, { KEYWRIGHT_NAMESPACE: 'x', KEYWRIGHT_WAIT: text }).ok).toBe(false);
});

test(':port listens on every address', () => {
  const parsed = parseSettings(table, { KEYWRIGHT_NAMESPACE: 'x', KEYWRIGHT_LISTEN: ':8080' });
  expect(parsed.ok && parsed.settings.listen).toEqual({ host: '0.0.0.0', port: 8080 });
});

test('a secret setting is seen in no output of the settings', () => {
  const parsed = parseSettings(table, { KEYWRIGHT_NAMESPACE: 'x', KEYWRIGHT_REDIS_URL: 'redis://:hunter2@localhost' });
  const redis = parsed.ok ? parsed.settings.redis : undefined;
  expect(`${JSON.stringify(parsed)} ${inspect(parsed, { depth: 9, showHidden: true })} ${String(redis)}`).not.toContain('hunter2');
});

test('the rows of the documentation are sorted and escape what would break the table', () => {
  expect(toSettingsRows(table)).toEqual([
    '| `KEYWRIGHT_LISTEN` | address | `0.0.0.0:8080` | where clients connect |',
    '| `KEYWRIGHT_NAMESPACE` | text | *required* | where the process lives |',
    '| `KEYWRIGHT_POLICY` | `Open`, `Closed` | `Closed` | what if |',
    '| `KEYWRIGHT_REDIS_URL` | url |  | where limits are counted |',
    '| `KEYWRIGHT_REPLICAS` | integer, at least 1 | `1` | how many proxies |',
    '| `KEYWRIGHT_TRUSTED` | list |  | who \\| whom |',
    '| `KEYWRIGHT_VERBOSE` | boolean | `false` | talk more |',
    '| `KEYWRIGHT_WAIT` | duration, 100 to 5400000 ms |  | how long |',
  ]);
});
