import type { Log } from '../runtime/log.ts';

/** One line per request. Never a body, a header, a query or a key; of a key only its id and display prefix. */
export interface AccessLine {
  readonly request_id: string;
  readonly key?: string | undefined;
  readonly prefix?: string | undefined;
  readonly client_address: string;
  readonly dialect: string;
  readonly surface?: string | undefined;
  readonly model?: string | undefined;
  readonly channel?: string | undefined;
  readonly status: number;
  readonly refusal?: string | undefined;
  /** who ended an answer early */
  readonly aborted_by?: string | undefined;
  readonly stream?: boolean | undefined;
  readonly input_tokens?: number | undefined;
  readonly output_tokens?: number | undefined;
  /** a decimal; absent when something that it used has no price */
  readonly cost_usd?: string | undefined;
  /** the clock of the store of limits at admission, ms since 1970 */
  readonly limiter_time_ms?: number | undefined;
  readonly degraded?: boolean | undefined;
  readonly duration_ms: number;
  readonly ttfb_ms?: number | undefined;
  readonly overhead_ms?: number | undefined;
  readonly attempts: number;
  /** of the VirtualKey */
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

export function writeAccessLine(log: Log, line: AccessLine): void {
  log.info({ event: 'access', ...line });
}
