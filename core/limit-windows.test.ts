import { expect, it } from 'vitest';
import { allNamedWindows, toNamedWindows } from './limit-windows.ts';

it('names the windows of limits, and those of a model after its glob', () => {
  expect(toNamedWindows({ rpm: 60, tpm: 0, rpd: 5, tpd: 7 })).toEqual([
    { name: 'rpm', unit: 'requests', span: 'minute', limit: 60 },
    { name: 'tpm', unit: 'tokens', span: 'minute', limit: 0 },
    { name: 'rpd', unit: 'requests', span: 'day', limit: 5 },
    { name: 'tpd', unit: 'tokens', span: 'day', limit: 7 },
  ]);
  expect(toNamedWindows({ tpm: 5 }, 'gpt-4o*')).toEqual([{ name: 'tpm:gpt-4o*', unit: 'tokens', span: 'minute', limit: 5 }]);
  expect(toNamedWindows({})).toEqual([]);
});

it('gives all of them, each name once: of two entries with one glob the first counts', () => {
  const models = [
    { model: 'a*', rpm: 1 },
    { model: 'b', rpm: 2, tpd: 3 },
    { model: 'a*', rpm: 9, tpm: 4 },
  ];
  const windows = allNamedWindows({ rpm: 60, concurrency: 5, mode: 'Shadow', models });
  expect(windows.map(({ name, limit }) => [name, limit])).toEqual([
    ['rpm', 60],
    ['rpm:a*', 1],
    ['rpm:b', 2],
    ['tpd:b', 3],
    ['tpm:a*', 4],
  ]);
});
