import type { IncomingHttpHeaders } from 'node:http';
import type { Refusal } from '../../../core/refusals.ts';
import type { RequestShape } from '../dialect.ts';
import { isModelName } from '../request-fields.ts';

/** Source: Azure OpenAI, "Responses API", image generation. */
const imageDeployment = 'x-ms-oai-image-generation-deployment';

/** At Azure a header names the deployment that draws, whatever the body says: it names a model like any field. Refuses what is no name. */
export function withImageDeployment(
  shape: RequestShape,
  headers: IncomingHttpHeaders,
): { readonly shape: RequestShape } | { readonly refusal: Refusal } {
  const named = headers[imageDeployment];
  if (named === undefined || shape.drawsImages !== true) return { shape };
  if (!isModelName(named)) {
    return { refusal: { code: 'invalid_request', message: `The header "${imageDeployment}" must be the name of a model.` } };
  }
  const { possibleModels = [], ...rest } = shape;
  const others = shape.otherModels.filter((model) => !possibleModels.includes(model));
  return { shape: { ...rest, otherModels: [...new Set([...others, named])] } };
}
