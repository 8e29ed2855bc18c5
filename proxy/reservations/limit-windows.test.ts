import { expect, it } from 'vitest';
import { makeKeyRecord } from '../../test/support/records.ts';
import { toLimitWindows } from './limit-windows.ts';

it('gives the windows of the key and of the first matching model', () => {
  const record = makeKeyRecord({
    limits: {
      rpm: 60,
      tpd: 0,
      mode: 'Shadow',
      models: [
        { model: 'gpt-4o*', tpm: 5 },
        { model: 'gpt-*', rpm: 1 },
      ],
    },
  });
  const names = (model: string | undefined) => toLimitWindows(record, model).map(({ name }) => name);
  expect(names(undefined)).toEqual(['rpm', 'tpd']);
  expect(names('o3')).toEqual(['rpm', 'tpd']);
  expect(names('gpt-4o-mini')).toEqual(['rpm', 'tpd', 'tpm:gpt-4o*']);
  expect(names('gpt-5')).toEqual(['rpm', 'tpd', 'rpm:gpt-*']);
  expect(toLimitWindows(record, 'gpt-5')).toContainEqual({ name: 'tpd', unit: 'tokens', span: 'day', limit: 0, shadow: true });
  expect(toLimitWindows(record, 'gpt-5')).toBe(toLimitWindows(record, 'gpt-5'));
  expect(toLimitWindows(makeKeyRecord(), 'gpt-5')).toEqual([]);
});
