import type { StructuralSchema } from '../../crds/schema-file.ts';
import type { SecretObject } from '../../operator/cluster/cluster.ts';
import type { FieldMistake } from './field-mistake.ts';
import { metadataSchema } from './metadata.ts';

const texts: StructuralSchema = { type: 'object', additionalProperties: { type: 'string' } };

/** A Secret as a manifest has it: `stringData` is plain text and wins over `data`, which is base64. */
export interface SecretManifest extends SecretObject {
  readonly stringData?: Readonly<Record<string, string>>;
  readonly immutable?: boolean;
}

export const secretSchema: StructuralSchema = {
  type: 'object',
  properties: {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: metadataSchema,
    type: { type: 'string' },
    data: texts,
    stringData: texts,
    immutable: { type: 'boolean' },
  },
};

/** All values of a Secret together (k8s.io/kubernetes, MaxSecretSize). */
const maxSecretBytes = 1024 * 1024;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The API server's rules for Secrets beyond their schema. Names entries, never their values. */
export function checkSecret(secret: SecretManifest, accepted: SecretManifest | undefined): readonly FieldMistake[] {
  const mistakes: FieldMistake[] = [];
  for (const field of ['data', 'stringData'] as const) {
    for (const [name, value] of Object.entries(secret[field] ?? {})) {
      if (!/^[-._a-zA-Z0-9]{1,253}$/.test(name))
        mistakes.push({ path: [field, name], message: 'entries are named by letters, digits, "-", "_" and "."' });
      if (field === 'data' && !base64.test(value.replace(/[\r\n]/g, ''))) {
        mistakes.push({ path: [field, name], message: 'must be base64; plain text belongs under stringData' });
      }
    }
  }
  if (mistakes.length > 0) return mistakes;
  const stored = toStoredSecret(secret);
  const bytes = Object.values(stored.data ?? {}).reduce((sum, value) => sum + Buffer.byteLength(value, 'base64'), 0);
  if (bytes > maxSecretBytes) mistakes.push({ path: ['data'], message: `must have at most ${maxSecretBytes} bytes in all` });
  if (accepted !== undefined) mistakes.push(...checkChange(stored, accepted));
  return mistakes;
}

function checkChange(stored: SecretManifest, accepted: SecretManifest): FieldMistake[] {
  const mistakes: FieldMistake[] = [];
  if (stored.type !== (accepted.type ?? 'Opaque')) mistakes.push({ path: ['type'], message: 'is immutable; create a new Secret' });
  if (accepted.immutable !== true) return mistakes;
  if (stored.immutable !== true) mistakes.push({ path: ['immutable'], message: 'cannot be taken back; create a new Secret' });
  if (!sameEntries(stored.data ?? {}, accepted.data ?? {}))
    mistakes.push({ path: ['data'], message: 'the Secret is immutable; create a new one' });
  return mistakes;
}

function sameEntries(left: Readonly<Record<string, string>>, right: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name]);
}

/** As the API server keeps it: `stringData` merged into `data`, type `Opaque` by default. */
export function toStoredSecret({ stringData = {}, data = {}, type = 'Opaque', immutable, ...rest }: SecretManifest): SecretManifest {
  const plain = Object.entries(data).map(([name, value]): [string, string] => [name, value.replace(/[\r\n]/g, '')]);
  const merged = Object.entries(stringData).map(([name, value]): [string, string] => [name, Buffer.from(value, 'utf8').toString('base64')]);
  return { ...rest, type, data: Object.fromEntries([...plain, ...merged]), ...(immutable === undefined ? {} : { immutable }) };
}
