import type { ChannelRecord, KeyRecord } from '../../core/snapshot.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from './records.ts';
import type { TestProxy } from './test-proxy.ts';
import type { TestUpstream, UpstreamHandler } from './test-upstream.ts';
import { useProxy } from './use-proxy.ts';

export interface OneChannel {
  readonly proxy: TestProxy;
  readonly upstream: TestUpstream;
  /** with the key of the tests, as JSON */
  post(path: string, body: object, headers?: Record<string, string>): Promise<Response>;
  get(path: string): Promise<Response>;
}

export interface OneChannelOptions {
  readonly channel?: Partial<ChannelRecord>;
  readonly key?: Partial<KeyRecord>;
  /** of the base URL */
  readonly basePath?: string;
}

/** Starts a proxy in front of one upstream for a test; the file that calls `useOneChannel` sees both closed after each. */
export function useOneChannel(): (answer: UpstreamHandler, options?: OneChannelOptions) => Promise<OneChannel> {
  const start = useProxy();
  return async (answer, { channel = {}, key = {}, basePath = '' } = {}) => {
    const { proxy, upstream } = await start(answer, (url) => ({
      channels: [makeChannelRecord(`${url}${basePath}`, channel)],
      keys: [makeKeyRecord({ limits: { tpm: 1_000_000 }, ...key })],
    }));
    const send = (path: string, init: RequestInit, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${proxy.url}${path}`, {
        ...init,
        headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json', ...headers },
      });
    return {
      proxy,
      upstream,
      post: (path, body, headers) => send(path, { method: 'POST', body: JSON.stringify(body) }, headers),
      get: (path) => send(path, { method: 'GET' }),
    };
  };
}
