import type { ChannelRecord } from '../../core/snapshot.ts';
import type { PathParameters, Surface } from '../dialects/dialect.ts';

export interface PathQuestion {
  readonly channel: ChannelRecord;
  /** path of the base URL */
  readonly prefix: string;
  readonly surface: Surface;
  readonly parameters: PathParameters;
  readonly upstreamModel: string | undefined;
  /** the client's query; only the surface's allowed parameters of it go on */
  readonly query: string;
}

/** Path and query of a request to a provider, built from the route and the Channel; of the client's path only parameters that were checked are in it, each as one segment. */
export function toUpstreamPath(question: PathQuestion): string {
  const { channel, prefix, surface, query } = question;
  const allowed = new URLSearchParams();
  if (query !== '' && surface.allowedQuery.length > 0) {
    const given = new URLSearchParams(query);
    for (const name of surface.allowedQuery) for (const value of given.getAll(name)) allowed.append(name, value);
  }
  const path = channel.provider === 'AzureOpenAI' ? toAzurePath(question, allowed) : join(prefix, toPath(question));
  const text = allowed.toString();
  return text === '' ? path : `${path}?${text}`;
}

function toPath({ surface, parameters, upstreamModel }: PathQuestion): string {
  return fillIn(surface.upstreamPath, { ...parameters, model: upstreamModel ?? '' });
}

/** A version at the end of a base URL (`/v1`, `/v4`), also with `/openai` behind it (`/v1beta/openai`). */
const endsInVersion = /\/v[0-9]+(?:(?:alpha|beta)[0-9]*)?(?:\/openai)?$/;

/** A base URL that has a version already is taken at its word, so that what providers print in their documentation works, with `/v1` and without. */
function join(prefix: string, path: string): string {
  return endsInVersion.test(prefix) ? `${prefix}${path.replace(/^\/v[0-9]+[a-z0-9]*/, '')}` : `${prefix}${path}`;
}

/** What Azure has in its dated versions: below a deployment, or the Responses API. Anything else is in `/openai/v1` alone. Source: Azure OpenAI REST API reference. */
const dated = /^\/v1\/(?:responses|chat\/completions|completions|embeddings|images\/(?:generations|edits)|audio\/)/;

/** The base URL may be that of the resource or of its `/openai` or `/openai/v1`. */
function toAzurePath(question: PathQuestion, query: URLSearchParams): string {
  const { channel, upstreamModel } = question;
  const root = `${question.prefix.replace(/\/openai(?:\/v1)?$/, '')}/openai`;
  const path = toPath(question);
  if (channel.apiVersion === undefined || !dated.test(path)) return `${root}${path}`;
  query.set('api-version', channel.apiVersion);
  const rest = path.slice('/v1'.length);
  return rest.startsWith('/responses') ? `${root}${rest}` : `${root}/deployments/${encodeURIComponent(upstreamModel ?? '')}${rest}`;
}

function fillIn(template: string, values: PathParameters): string {
  return template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
}
