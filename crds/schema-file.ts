import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

/** The part of a structural schema (openAPIV3Schema) that these resources use. */
export interface StructuralSchema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema;
  readonly items?: StructuralSchema;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly 'x-kubernetes-list-type'?: 'map' | 'set' | 'atomic';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular';
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[];
}

export interface PrinterColumn {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly priority?: number;
}

/** One CustomResourceDefinition of ours: what the API server, the types, the docs and the in-process admission are made from. */
export interface ResourceDefinition {
  readonly kind: string;
  readonly plural: string;
  readonly apiVersion: string;
  readonly columns: readonly PrinterColumn[];
  readonly schema: StructuralSchema;
}

interface CustomResourceDefinition {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly [
      {
        readonly name: string;
        readonly additionalPrinterColumns: readonly PrinterColumn[];
        readonly schema: { readonly openAPIV3Schema: StructuralSchema };
      },
    ];
  };
}

/** Path of a file of this folder, for example `virtualkey.crd.yaml`. */
export function crdPath(fileName: string): string {
  return fileURLToPath(new URL(fileName, import.meta.url));
}

/** Reads both CRDs from this folder; throws if one is missing or no YAML, since an installation without them is broken. */
export function readDefinitions(): readonly ResourceDefinition[] {
  return ['virtualkey.crd.yaml', 'channel.crd.yaml'].map((fileName) => {
    const { spec } = parse(readFileSync(crdPath(fileName), 'utf8')) as CustomResourceDefinition;
    const [version] = spec.versions;
    return {
      kind: spec.names.kind,
      plural: spec.names.plural,
      apiVersion: `${spec.group}/${version.name}`,
      columns: version.additionalPrinterColumns,
      schema: version.schema.openAPIV3Schema,
    };
  });
}
