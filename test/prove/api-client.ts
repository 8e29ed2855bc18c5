import { readFileSync } from 'node:fs';
import { Pool } from 'undici';
import type { ControlPlane } from '../support/control-plane.ts';

/** A plain fast client of the API server, as the administrator: `kubectl` takes a process and 60 ms for each object. */
export interface ApiClient {
  get<T>(path: string): Promise<T>;
  text(path: string): Promise<string>;
  post(path: string, body: unknown): Promise<void>;
  /** a merge patch; resolves when the API server has accepted it */
  patch(path: string, body: unknown): Promise<void>;
  /** the same; gives the object as it is now */
  patched<T>(path: string, body: unknown): Promise<T>;
  close(): Promise<void>;
}

export function makeApiClient({ url, certificatePath, adminToken }: ControlPlane, connections = 16): ApiClient {
  const pool = new Pool(url, { connections, connect: { ca: readFileSync(certificatePath) } });

  async function call(method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown): Promise<string> {
    const headers: Record<string, string> = { authorization: `Bearer ${adminToken}`, accept: 'application/json' };
    if (body !== undefined) headers['content-type'] = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const answer = await pool.request({ method, path, headers, body: body === undefined ? null : JSON.stringify(body) });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`);
    return text;
  }

  return {
    get: async <T>(path: string) => JSON.parse(await call('GET', path)) as T,
    text: (path) => call('GET', path),
    post: async (path, body) => void (await call('POST', path, body)),
    patch: async (path, body) => void (await call('PATCH', path, body)),
    patched: async <T>(path: string, body: unknown) => JSON.parse(await call('PATCH', path, body)) as T,
    close: () => pool.close(),
  };
}

/** Runs `work` for each item, so many at once. */
export async function forEach<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  async function worker(): Promise<void> {
    for (let item = items[next]; item !== undefined; item = items[next]) {
      next += 1;
      await work(item);
    }
  }
  await Promise.all(Array.from({ length: atOnce }, () => worker()));
}
