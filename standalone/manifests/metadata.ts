import type { StructuralSchema } from '../../crds/schema-file.ts';
import type { ObjectMeta } from '../../operator/cluster/cluster.ts';
import type { FieldMistake } from './field-mistake.ts';
import { isLabel, isLabelValue, isQualifiedName, isSubdomain } from './names.ts';

const text: StructuralSchema = { type: 'string' };
const texts: StructuralSchema = { type: 'object', additionalProperties: text };

/** The metadata of a manifest, as kubectl takes it; what belongs to the server may be there (from `kubectl get -o yaml`) and is not used. */
export const metadataSchema: StructuralSchema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1 },
    namespace: text,
    labels: texts,
    annotations: texts,
    uid: text,
    resourceVersion: text,
    generation: { type: 'integer' },
    creationTimestamp: text,
    deletionTimestamp: text,
    deletionGracePeriodSeconds: { type: 'integer' },
    selfLink: text,
    finalizers: { type: 'array', items: text },
    ownerReferences: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          apiVersion: text,
          kind: text,
          name: text,
          uid: text,
          controller: { type: 'boolean' },
          blockOwnerDeletion: { type: 'boolean' },
        },
      },
    },
    managedFields: {
      type: 'array',
      items: {
        type: 'object',
        properties: { apiVersion: text, fieldsType: text, manager: text, operation: text, subresource: text, time: text },
      },
    },
  },
};

/** All annotations of an object together, names and values (k8s.io/apimachinery, TotalAnnotationSizeLimitB). */
const maxAnnotationBytes = 256 * 1024;

/** The rules for names, labels and annotations that no schema holds. */
export function checkMetadata(metadata: ObjectMeta): readonly FieldMistake[] {
  const mistakes: FieldMistake[] = [];
  const complain = (path: readonly string[], message: string): void => {
    mistakes.push({ path: ['metadata', ...path], message });
  };
  const { name, namespace, labels = {}, annotations = {} } = metadata;
  if (!isSubdomain(name))
    complain(['name'], 'must be lower-case letters, digits, "-" and ".", at most 253, with a letter or digit at both ends');
  if (namespace !== undefined && !isLabel(namespace)) {
    complain(['namespace'], 'must be lower-case letters, digits and "-", at most 63, with a letter or digit at both ends');
  }
  for (const [label, value] of Object.entries(labels)) {
    if (!isQualifiedName(label)) complain(['labels', label], 'is no valid name of a label');
    if (!isLabelValue(value))
      complain(['labels', label], 'must be at most 63 letters, digits, "-", "_" and ".", with a letter or digit at both ends');
  }
  for (const annotation of Object.keys(annotations)) {
    // unlike those of labels, names of annotations are compared in lower case
    if (!isQualifiedName(annotation.toLowerCase())) complain(['annotations', annotation], 'is no valid name of an annotation');
  }
  const bytes = Object.entries(annotations).reduce((sum, pair) => sum + Buffer.byteLength(pair.join('')), 0);
  if (bytes > maxAnnotationBytes) complain(['annotations'], `must have at most ${maxAnnotationBytes} bytes in all`);
  return mistakes;
}

/** What of the metadata is the author's to say. */
export function toOwnMetadata({ name, namespace, labels, annotations }: ObjectMeta): ObjectMeta {
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}
