import type { Refusal } from '../../core/refusals.ts';
import type { Surface } from '../dialects/dialect.ts';

/** How a body is written. */
export type BodyForm = { readonly form: 'json' } | { readonly form: 'multipart'; readonly boundary: string };

/**
 * Reads the content type by what the surface takes: JSON (or nothing said), or multipart/form-data with its boundary. Any other type is a mistake that the provider would
 * have to guess at. The provider gets a content type of ours, so that it cannot read another boundary out of this one than we have.
 */
export function parseBodyForm(
  takes: Exclude<Surface['body'], 'none'>,
  contentType: string | undefined,
): BodyForm | { readonly refusal: Refusal } {
  if (takes !== 'json' && contentType !== undefined && /^\s*multipart\/form-data\s*(?:;|$)/i.test(contentType))
    return parseBoundary(contentType);
  if (takes !== 'multipart' && (contentType === undefined || isJson(contentType))) return { form: 'json' };
  return { refusal: { code: 'unsupported_encoding', message: `The content type has to be ${wanted[takes]}.` } };
}

const wanted = {
  json: 'application/json in UTF-8',
  multipart: 'multipart/form-data',
  either: 'multipart/form-data, or application/json in UTF-8',
} as const;

/** As it is told to the provider: in quotes where the grammar asks for them. */
export function toMultipartType(boundary: string): string {
  return `multipart/form-data; boundary=${/^[\w!#$%&'*+.^`|~-]+$/.test(boundary) ? boundary : `"${boundary}"`}`;
}

function isJson(contentType: string): boolean {
  return /^\s*application\/(?:[\w.-]+\+)?json\s*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?;?\s*$/i.test(contentType);
}

/** RFC 2046 section 5.1.1: 1 to 70 characters of these, the last of them no space. Without quotes, clients also write those that a token could not hold. */
const parameterPattern = /\s*;\s*([A-Za-z-]+)=(?:"([^"\\]*)"|([^\s;"\\]+))/y;
const boundaryPattern = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;

function parseBoundary(contentType: string): BodyForm | { readonly refusal: Refusal } {
  const parameters: [string, string][] = [];
  parameterPattern.lastIndex = contentType.search(/;|$/);
  let end = parameterPattern.lastIndex;
  for (let match = parameterPattern.exec(contentType); match !== null; match = parameterPattern.exec(contentType)) {
    parameters.push([(match[1] as string).toLowerCase(), match[2] ?? match[3] ?? '']);
    end = parameterPattern.lastIndex;
  }
  if (!/^\s*;?\s*$/.test(contentType.slice(end))) return refuse('the content type of the body cannot be read');
  const odd = parameters.find(([name, value]) => name !== 'boundary' && !(name === 'charset' && /^utf-?8$/i.test(value)));
  if (odd !== undefined) return refuse('the content type of the body may have no parameter but its boundary');
  const boundaries = parameters.filter(([name]) => name === 'boundary').map(([, value]) => value);
  const [boundary] = boundaries;
  if (boundary === undefined || boundaries.length > 1) return refuse('the content type of the body has to name exactly one boundary');
  if (!boundaryPattern.test(boundary)) return refuse('the boundary in the content type is none (RFC 2046 section 5.1.1)');
  return { form: 'multipart', boundary };
}

function refuse(message: string): { readonly refusal: Refusal } {
  return { refusal: { code: 'invalid_request', message } };
}
