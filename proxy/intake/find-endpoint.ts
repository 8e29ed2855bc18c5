import type { Dialect } from '../../core/refusals.ts';
import type { Endpoint, PathParameters } from '../dialects/dialect.ts';
import type { Route } from './router.ts';

export type FoundEndpoint =
  | { readonly endpoint: Endpoint; readonly parameters: PathParameters }
  /** another method would do; in which dialect to say so, where the path alone tells that */
  | { readonly allow: string; readonly dialect: Dialect | undefined }
  /** `…:verb` with a verb that is not offered */
  | { readonly unknownVerb: string; readonly dialect: Dialect | undefined };

/**
 * Which of the surfaces of a path is meant: by its method, and where the last part of the path is `model:verb`, by that. A model's name may have a colon, so the last one counts;
 * and only what is posted is a verb, for `GET …/models/{model}` asks for a model of such a name.
 */
export function findEndpoint({ endpoints, parameters }: Route, method: string | undefined): FoundEndpoint {
  const call = toCall(parameters['model']);
  if (method === 'POST' && call !== undefined) {
    const endpoint = endpoints.find(({ surface }) => surface.method === method && surface.verb === call.verb);
    if (endpoint !== undefined) return { endpoint, parameters: { ...parameters, model: call.model } };
    return { unknownVerb: call.verb, dialect: endpoints.find(({ surface }) => surface.verb !== undefined)?.surface.dialect };
  }
  const plain = endpoints.filter(({ surface }) => surface.verb === undefined);
  const endpoint = plain.find(({ surface }) => surface.method === method);
  if (endpoint !== undefined) return { endpoint, parameters };
  const offered = call === undefined ? plain : [...plain, ...endpoints.filter(({ surface }) => surface.verb === call.verb)];
  const methods = new Set(offered.map(({ surface }) => surface.method));
  const { surface } = (offered.length > plain.length ? offered.at(-1) : plain[0]) ?? {};
  // what is read belongs to several dialects
  return { allow: [...methods].join(', '), dialect: surface?.scope === 'read' ? undefined : surface?.dialect };
}

function toCall(segment: string | undefined): { readonly model: string; readonly verb: string } | undefined {
  const match = segment === undefined ? null : /^(.*):([A-Za-z]+)$/s.exec(segment);
  return match === null ? undefined : { model: match[1] ?? '', verb: match[2] ?? '' };
}
