import { readDefinitions, type ResourceDefinition } from '../../crds/schema-file.ts';
import type { ClusterObject } from '../../operator/cluster/cluster.ts';
import { compileRules } from './cel.ts';
import { formatMistake, type FieldMistake } from './field-mistake.ts';
import { checkMetadata, metadataSchema, toOwnMetadata } from './metadata.ts';
import { compileSchema } from './schema.ts';
import { checkSecret, secretSchema, toStoredSecret, type SecretManifest } from './secret-manifest.ts';
import { withoutNulls } from './structural.ts';

export type AdmissionResult =
  | { readonly ok: true; readonly object: ClusterObject }
  | { readonly ok: false; readonly errors: string[]; readonly mistakes: readonly FieldMistake[] };

export interface Admission {
  /**
   * What the API server would make of a manifest: the object as it would be stored (status defaulted or taken over from `accepted`, `stringData` merged, fields of the
   * server left out), or everything that is wrong with it. `accepted` is the form now in force: rules on changes compare with it.
   */
  check(object: unknown, accepted?: ClusterObject): AdmissionResult;
}

type CheckKind = (object: Record<string, unknown>, accepted: ClusterObject | undefined) => readonly FieldMistake[] | ClusterObject;

/** The admission of the kinds a manifests folder may hold: VirtualKey, Channel (schema and rules of the CRDs, in this process) and Secret. */
export function makeAdmission(): Admission {
  const kinds = new Map<string, { apiVersion: string; check: CheckKind }>();
  for (const definition of readDefinitions()) {
    kinds.set(definition.kind, { apiVersion: definition.apiVersion, check: makeResourceCheck(definition) });
  }
  kinds.set('Secret', { apiVersion: 'v1', check: makeSecretCheck() });
  const allowed = [...kinds].map(([kind, { apiVersion }]) => `${kind} (${apiVersion})`).join(', ');
  return {
    check(object, accepted) {
      if (typeof object !== 'object' || object === null || Array.isArray(object))
        return refuse([{ path: [], message: 'must be an object' }]);
      const { apiVersion, kind } = object as Record<string, unknown>;
      const entry = typeof kind === 'string' ? kinds.get(kind) : undefined;
      if (entry === undefined) return refuse([{ path: ['kind'], message: `must be one of: ${allowed}` }]);
      if (apiVersion !== entry.apiVersion)
        return refuse([{ path: ['apiVersion'], message: `must be ${entry.apiVersion} for a ${String(kind)}` }]);
      const result = entry.check(object as Record<string, unknown>, accepted);
      return isMistakes(result) ? refuse(result) : { ok: true, object: result };
    },
  };
}

function isMistakes(result: readonly FieldMistake[] | ClusterObject): result is readonly FieldMistake[] {
  return Array.isArray(result);
}

function refuse(mistakes: readonly FieldMistake[]): AdmissionResult {
  return { ok: false, errors: mistakes.map(formatMistake), mistakes };
}

function makeResourceCheck({ schema }: ResourceDefinition): CheckKind {
  const { status, ...properties } = schema.properties ?? {};
  // whatever a manifest says in status is dropped, as the API server does for a resource with a status of its own
  const { properties: _properties, ...rules } = schema;
  const whole = { ...rules, properties: { ...properties, metadata: metadataSchema }, required: ['metadata', ...(schema.required ?? [])] };
  const checkSchema = compileSchema(whole);
  const checkRules = compileRules(whole);
  return (object, accepted) => {
    const { status: _status, ...written } = object;
    const cleaned = withoutNulls(whole, written) as Record<string, unknown>;
    const invalid = checkSchema(cleaned);
    if (invalid.length > 0) return invalid;
    const manifest = cleaned as unknown as ClusterObject;
    const broken = [...checkMetadata(manifest.metadata), ...checkRules(manifest, accepted)];
    if (broken.length > 0) return broken;
    const kept = (accepted as { status?: unknown } | undefined)?.status ?? structuredClone(status?.default);
    return { ...manifest, metadata: toOwnMetadata(manifest.metadata), ...(kept === undefined ? {} : { status: kept }) };
  };
}

function makeSecretCheck(): CheckKind {
  const checkSchema = compileSchema({ ...secretSchema, required: ['metadata'] });
  return (object, accepted) => {
    const cleaned = withoutNulls(secretSchema, object);
    const invalid = checkSchema(cleaned);
    if (invalid.length > 0) return invalid;
    const manifest = cleaned as SecretManifest;
    const broken = [...checkMetadata(manifest.metadata), ...checkSecret(manifest, accepted)];
    if (broken.length > 0) return broken;
    return toStoredSecret({ ...manifest, metadata: toOwnMetadata(manifest.metadata) });
  };
}
