import { afterEach } from 'vitest';
import { startTestProxy, type TestProxy, type TestProxyOptions } from './test-proxy.ts';
import { startUpstream, type TestUpstream, type UpstreamHandler } from './test-upstream.ts';

export interface ProxyAndUpstream {
  readonly proxy: TestProxy;
  readonly upstream: TestUpstream;
}

/** Starts a proxy in front of one upstream for a test, which may be several channels; the file that calls `useProxy` sees both closed after each. */
export function useProxy(): (answer: UpstreamHandler, toOptions: (url: string) => TestProxyOptions) => Promise<ProxyAndUpstream> {
  const ends: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });
  return async (answer, toOptions) => {
    const upstream = await startUpstream(answer);
    ends.push(() => upstream.close());
    const proxy = await startTestProxy(toOptions(upstream.url));
    ends.push(() => proxy.stop());
    return { proxy, upstream };
  };
}
