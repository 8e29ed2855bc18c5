import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import type { Body, Surface, SurfaceDriver } from '../dialect.ts';
import { measureForm, toTyped } from '../form-fields.ts';
import { checkReferences } from '../kept-references.ts';
import { type Media, measurePrompt, toEmbedded } from '../measure-prompt.ts';
import { isObject } from '../../../core/json.ts';
import { invalid, isAbsent, spliceModel } from '../request-fields.ts';
import { imageChecks, makeImageMeter, toImageShape } from './images.ts';

const shared = { dialect: 'OpenAI', method: 'POST', scope: 'images', operation: 'images', metered: true, allowedQuery: [] } as const;

const surfaces: readonly Surface[] = [
  // GPT image models also take JSON that points to the images
  { ...shared, name: 'images_edits', path: '/v1/images/edits', upstreamPath: '/v1/images/edits', body: 'either' },
  { ...shared, name: 'images_variations', path: '/v1/images/variations', upstreamPath: '/v1/images/variations', body: 'multipart' },
];

const checks: readonly Check<Body>[] = [...imageChecks, checkImages, (body) => checkReferences(body)];
const numbers = ['n', 'partial_images', 'frame_count', 'output_compression'];

/** Pictures from pictures. Sources: OpenAI API reference, "Create image edit", "Create image variation". */
export const imageFormsDriver: SurfaceDriver = {
  surfaces,
  parseShape(body) {
    const typed = toTyped(body, { numbers, booleans: ['stream'] });
    const refusal = firstRefusal(checks, typed);
    return refusal === undefined ? { shape: toImageShape(typed) } : { refusal };
  },
  measure: (body) => measurePrompt(body, toMedia),
  measureForm: (form) => measureForm(form, ({ fileName }) => (fileName === undefined ? undefined : 'image')),
  toPriceFields: () => ({ units: ['imageInput', 'imageOutput'] }),
  spliceFor: ({ shape, upstreamModel }) => spliceModel(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter: makeImageMeter,
};

function toMedia(part: Body): Media | undefined {
  return typeof part['image_url'] === 'string' ? { kind: 'image', data: toEmbedded(part['image_url']) } : undefined;
}

/** A stored file belongs to the account that many share, and nobody has kept whose it is. Null is refused as well: it may stand beside another one of that name. */
function checkImages({ images, mask }: Body): Refusal | undefined {
  if (!isAbsent(images) && !Array.isArray(images)) return invalid('images', 'a list of images');
  const listed = Array.isArray(images) ? (images as unknown[]) : [];
  const pointing = [...listed, mask].find((image) => isObject(image) && Object.hasOwn(image, 'file_id'));
  return pointing === undefined
    ? undefined
    : { code: 'unsupported_reference', message: 'Images cannot be named by a file_id here; send them, or their URL.', param: 'images' };
}
