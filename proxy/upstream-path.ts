import type { ChannelRecord } from '../core/snapshot.ts';
import type { Surface } from './dialects/dialect.ts';

export interface PathQuestion {
  readonly channel: ChannelRecord;
  /** path of the base URL */
  readonly prefix: string;
  readonly surface: Surface;
  readonly upstreamModel: string | undefined;
  /** the client's query; only the surface's allowed parameters of it go on */
  readonly query: string;
}

/** Path and query of a request to a provider, built from the route and the Channel; nothing of the client's path is in it. */
export function toUpstreamPath({ channel, prefix, surface, upstreamModel, query }: PathQuestion): string {
  const parameters = new URLSearchParams();
  if (query !== '' && surface.allowedQuery.length > 0) {
    const given = new URLSearchParams(query);
    for (const name of surface.allowedQuery) for (const value of given.getAll(name)) parameters.append(name, value);
  }
  let path = surface.upstreamPath;
  if (channel.provider === 'AzureOpenAI' && channel.apiVersion !== undefined) {
    // Azure names the deployment in the path (Azure OpenAI REST API reference, "Data plane inference")
    path = `/openai/deployments/${encodeURIComponent(upstreamModel ?? '')}${path.slice('/v1'.length)}`;
    parameters.set('api-version', channel.apiVersion);
  } else if (channel.provider === 'AzureOpenAI') {
    path = `/openai${path}`;
  }
  const text = parameters.toString();
  return text === '' ? `${prefix}${path}` : `${prefix}${path}?${text}`;
}
