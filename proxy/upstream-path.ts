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
  if (channel.provider === 'AzureOpenAI' && channel.apiVersion !== undefined) {
    // Azure names the deployment in the path (Azure OpenAI REST API reference, "Data plane inference")
    path = `/openai/deployments/${encodeURIComponent(upstreamModel ?? '')}${path.slice('/v1'.length)}`;
    allowed.set('api-version', channel.apiVersion);
  } else if (channel.provider === 'AzureOpenAI') {
    path = `/openai${path}`;
  }
  const text = allowed.toString();
  return text === '' ? `${prefix}${path}` : `${prefix}${path}?${text}`;
}

function fillIn(template: string, values: PathParameters): string {
  return template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
}
