import type { ChannelRecord } from '../core/snapshot.ts';
import type { PathParameters, Surface } from './dialects/dialect.ts';

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
export function toUpstreamPath({ channel, prefix, surface, parameters, upstreamModel, query }: PathQuestion): string {
  const allowed = new URLSearchParams();
  if (query !== '' && surface.allowedQuery.length > 0) {
    const given = new URLSearchParams(query);
    for (const name of surface.allowedQuery) for (const value of given.getAll(name)) allowed.append(name, value);
  }
  let path = fillIn(surface.upstreamPath, { ...parameters, model: upstreamModel ?? '' });
  if (channel.provider === 'AzureOpenAI') {
    if (channel.apiVersion !== undefined && hasVersion(path)) allowed.set('api-version', channel.apiVersion);
    path = toAzurePath(path, { isVersioned: channel.apiVersion !== undefined, upstreamModel });
  }
  const text = allowed.toString();
  return text === '' ? `${prefix}${path}` : `${prefix}${path}?${text}`;
}

function fillIn(template: string, values: PathParameters): string {
  return template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
}

/** What Azure has in its dated versions: below a deployment, or the Responses API. Anything else is in `/openai/v1` alone. Source: Azure OpenAI REST API reference. */
const dated = /^\/v1\/(?:responses|chat\/completions|completions|embeddings|images\/(?:generations|edits)|audio\/)/;

function hasVersion(path: string): boolean {
  return dated.test(path);
}

function toAzurePath(path: string, { isVersioned, upstreamModel }: { isVersioned: boolean; upstreamModel: string | undefined }): string {
  if (!isVersioned || !hasVersion(path)) return `/openai${path}`;
  const rest = path.slice('/v1'.length);
  return rest.startsWith('/responses') ? `/openai${rest}` : `/openai/deployments/${encodeURIComponent(upstreamModel ?? '')}${rest}`;
}
