import { expect } from 'vitest';
import type { VirtualKey } from '../../core/resources.ts';
import { untilHolds } from '../support/eventually.ts';
import { type Installation, otherClient, type RunningProcess } from './installation.ts';

export interface ReadSecret {
  readonly type: string;
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly unknown[];
  };
  /** the entries, decoded */
  readonly text: Readonly<Record<string, string>>;
}

export async function readKey(installation: Installation, name: string, namespace = 'default'): Promise<VirtualKey> {
  return JSON.parse(await installation.kubectl('get', 'vk', name, '-n', namespace, '-o', 'json')) as VirtualKey;
}

export async function readSecret(installation: Installation, name: string): Promise<ReadSecret> {
  const secret = JSON.parse(await installation.kubectl('get', 'secret', name, '-o', 'json')) as Omit<ReadSecret, 'text'> & {
    data?: Record<string, string>;
  };
  const text = Object.entries(secret.data ?? {}).map(([entry, value]) => [entry, Buffer.from(value, 'base64').toString()] as const);
  return { ...secret, text: Object.fromEntries(text) };
}

/** What `kubectl describe` shows of an object's Events. */
export async function events(installation: Installation, name: string, namespace = 'default'): Promise<string> {
  const text = await installation.kubectl('describe', 'vk', name, '-n', namespace);
  return text.slice(text.indexOf('\nEvents:'));
}

/** Until they say so: they are written beside everything else, and may come after the status that they are about. */
export async function untilEvents(installation: Installation, name: string, wanted: RegExp, namespace?: string): Promise<void> {
  await untilHolds(async () => expect(await events(installation, name, namespace)).toMatch(wanted));
}

/** Until the Ready condition (of the current generation) and the phase are as wanted. */
export async function untilKey(
  installation: Installation,
  name: string,
  wanted: { readonly ready: string; readonly reason: string; readonly phase?: string; readonly generation?: number },
  namespace = 'default',
): Promise<void> {
  await untilHolds(
    async () => {
      const { status, metadata } = await readKey(installation, name, namespace);
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      expect(ready).toMatchObject({ status: wanted.ready, reason: wanted.reason });
      expect(status?.observedGeneration).toBe(wanted.generation ?? metadata.generation);
      if (wanted.phase !== undefined) expect(status?.phase).toBe(wanted.phase);
    },
    { everyMs: 200 },
  );
}

/** One call of a model; the body is read and thrown away. */
export async function chat(proxy: RunningProcess, apiKey: string): Promise<Response> {
  const answer = await fetch(`${proxy.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...otherClient() },
    body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}',
  });
  await answer.arrayBuffer();
  return answer;
}
