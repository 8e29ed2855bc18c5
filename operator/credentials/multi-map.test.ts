import { expect, it } from 'vitest';
import { MultiMap } from './multi-map.ts';

it('holds none, one or many values of a name, each once', () => {
  const map = new MultiMap();
  expect([...map.of('a')]).toEqual([]);
  map.add('a', '1');
  map.add('a', '1');
  expect([...map.of('a')]).toEqual(['1']);
  map.add('a', '2');
  map.add('a', '3');
  expect([...map.of('a')]).toEqual(['1', '2', '3']);
  map.delete('a', '1');
  map.delete('a', '9');
  map.delete('b', '1');
  expect([...map.of('a')]).toEqual(['2', '3']);
  map.delete('a', '2');
  map.delete('a', '3');
  expect([map.has('a'), [...map.names()]]).toEqual([false, []]);
  map.add('a', '1');
  map.delete('a', '2');
  expect(map.has('a')).toBe(true);
  map.delete('a', '1');
  expect(map.has('a')).toBe(false);
});
