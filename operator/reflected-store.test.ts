import { describe, expect, it } from 'vitest';
import type { ClusterObject } from './cluster/cluster.ts';
import { ReflectedStore } from './reflected-store.ts';

const at = (resourceVersion: string): ClusterObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 's', namespace: 'a', uid: 'u', resourceVersion },
});
const versionIn = (store: ReflectedStore<ClusterObject>): string | undefined => store.get('a', 's')?.metadata.resourceVersion;

describe('a store ahead of its watch by our own writes', () => {
  it('knows at once what was written, and passes over older states that still come', () => {
    const store = new ReflectedStore();
    expect(store.take({ type: 'Applied', object: at('9') })).toBe(true);
    store.wrote(at('11'));
    expect(store.take({ type: 'Applied', object: at('9') })).toBe(false);
    expect(versionIn(store)).toBe('11');
    expect(store.take({ type: 'Applied', object: at('12') })).toBe(true);
    expect(versionIn(store)).toBe('12');
  });

  it('keeps what the watch has shown after our write, when the answer to the write comes later still', () => {
    const store = new ReflectedStore();
    store.take({ type: 'Applied', object: at('9') });
    for (const version of ['10', '11']) store.take({ type: 'Applied', object: at(version) });
    store.wrote(at('10'));
    expect(versionIn(store)).toBe('11');
  });

  it('takes the smaller versions of a restored store from the watch', () => {
    const store = new ReflectedStore();
    store.take({ type: 'Applied', object: at('900') });
    expect(store.take({ type: 'Applied', object: at('50') })).toBe(true);
    store.wrote(at('51'));
    expect(versionIn(store)).toBe('51');
  });
});
