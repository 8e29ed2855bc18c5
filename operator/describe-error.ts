import { ClusterError } from './cluster/cluster.ts';

/**
 * What of an unknown error may be logged: its name and where it was thrown.
 * Its message may not: Node's JSON.parse quotes what it could not read, and that can be a Secret. A ClusterError's message is ours and safe.
 */
export function describeError(error: unknown): { name: string; message?: string; code?: string; at?: string } {
  if (error instanceof ClusterError) return { name: error.name, message: `${error.reason}: ${error.message}` };
  if (!(error instanceof Error)) return { name: typeof error };
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  const code: unknown = Reflect.get(error, 'code');
  const shownCode = typeof code === 'string' && /^[A-Z_0-9]{1,60}$/.test(code) ? { code } : {};
  return {
    name: error.name,
    ...shownCode,
    at: frames
      .slice(0, 6)
      .map((line) => line.trim())
      .join(' | '),
  };
}
