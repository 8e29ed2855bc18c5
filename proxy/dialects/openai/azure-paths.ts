import type { Body, Endpoint, PathParameters, RequestShape, SpliceOptions, SurfaceDriver } from '../dialect.ts';
import type { Refusal } from '../../../core/refusals.ts';
import { invalid, isAbsent, isModelName } from '../request-fields.ts';

/** What Azure has below a deployment. Source: Azure OpenAI REST API reference, "Data plane inference". */
const ofDeployments: ReadonlySet<string> = new Set([
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/images/generations',
  '/v1/images/edits',
  '/v1/audio/speech',
  '/v1/audio/transcriptions',
  '/v1/audio/translations',
]);

/**
 * The same calls at the paths that Azure's clients know: below `/openai/v1`, below a deployment, and the Responses API below `/openai`. `api-version` is taken and not needed:
 * which one a provider is asked with is its Channel's business.
 */
export function toAzureEndpoints(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return endpoints.flatMap((endpoint) => {
    const { path } = endpoint.surface;
    const places = [at(endpoint, `/openai${path}`)];
    if (path.startsWith('/v1/responses')) places.push(at(endpoint, `/openai${path.slice('/v1'.length)}`));
    if (ofDeployments.has(path)) places.push(ofDeployment(endpoint));
    return places;
  });
}

function at({ surface, driver }: Endpoint, path: string): Endpoint {
  return { surface: { ...surface, path }, driver };
}

/** One driver for all surfaces of another, so that they stay what they are for the rest of the gateway. */
const named = new WeakMap<SurfaceDriver, SurfaceDriver>();

function ofDeployment(endpoint: Endpoint): Endpoint {
  const { surface, driver } = at(endpoint, `/openai/deployments/:deployment${endpoint.surface.path.slice('/v1'.length)}`);
  if (driver === undefined) return { surface, driver };
  const known = named.get(driver) ?? nameByPath(driver);
  named.set(driver, known);
  return { surface, driver: known };
}

/** The deployment is the model. Azure goes by the path alone, other providers by the body, so that a body may name none and no other. */
function nameByPath(driver: SurfaceDriver): SurfaceDriver {
  return {
    ...driver,
    parseShape(body, surface, parameters): { readonly shape: RequestShape } | { readonly refusal: Refusal } {
      const refusal = checkDeployment(body, parameters);
      return refusal === undefined ? driver.parseShape({ ...body, model: parameters['deployment'] }, surface, parameters) : { refusal };
    },
    spliceFor(options) {
      const splices = driver.spliceFor(options);
      return isLeftOut(options.body['model']) && !splices.some(({ field }) => field === 'model') ? [...splices, toModel(options)] : splices;
    },
  };
}

/** Clients that are made to name one write an empty text. */
function isLeftOut(model: unknown): boolean {
  return isAbsent(model) || model === '';
}

function checkDeployment({ model }: Body, { deployment }: PathParameters): Refusal | undefined {
  if (!isModelName(deployment))
    return { code: 'invalid_request', message: 'The deployment in the path is not the name of a model.', param: 'deployment' };
  return isLeftOut(model) || model === deployment ? undefined : invalid('model', `absent, or the deployment in the path ("${deployment}")`);
}

function toModel({ shape, upstreamModel }: SpliceOptions): { readonly field: string; readonly json: string } {
  return { field: 'model', json: JSON.stringify(upstreamModel ?? shape.model) };
}
