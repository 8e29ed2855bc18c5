import {
  beginProbe,
  type Circuit,
  type CircuitFailure,
  type CircuitState,
  closedCircuit,
  dropProbe,
  recordFailure,
  recordSuccess,
  stateOfCircuit,
  waitOfCircuit,
} from './circuit.ts';

/**
 * The breaker of one channel. It opens for everybody when requests of several tenants have failed in a row, or when the fault is nobody's (no connection). As long as all of
 * them came from one tenant it is open for that tenant alone: a request that makes a server fail must not take the channel from the others. A tenant is a namespace.
 */
export interface ChannelBreaker {
  readonly circuit: Circuit;
  /** whose requests have failed in a row; undefined: several tenants', or nobody's fault */
  readonly culprit: string | undefined;
}

export const closedBreaker: ChannelBreaker = { circuit: closedCircuit, culprit: undefined };

function concerns({ circuit, culprit }: ChannelBreaker, tenant: string): boolean {
  return circuit.openUntilMs !== undefined && (culprit === undefined || culprit === tenant);
}

/** As it is for this tenant. */
export function stateOfBreaker(breaker: ChannelBreaker, tenant: string, nowMs: number): CircuitState {
  return concerns(breaker, tenant) ? stateOfCircuit(breaker.circuit, nowMs) : 'closed';
}

/** As it is for everybody. */
export function commonStateOf({ circuit, culprit }: ChannelBreaker, nowMs: number): CircuitState {
  return culprit === undefined ? stateOfCircuit(circuit, nowMs) : 'closed';
}

/** Milliseconds until it is worth this tenant's while to ask again; 0: now. */
export function waitOfBreaker(breaker: ChannelBreaker, tenant: string, nowMs: number): number {
  return concerns(breaker, tenant) ? waitOfCircuit(breaker.circuit, nowMs) : 0;
}

/** One request goes through to find out, and will have said so by `untilMs`. */
export function beginBreakerProbe(breaker: ChannelBreaker, untilMs: number): ChannelBreaker {
  return { ...breaker, circuit: beginProbe(breaker.circuit, untilMs) };
}

/** The probe has ended without finding anything out. */
export function dropBreakerProbe(breaker: ChannelBreaker): ChannelBreaker {
  return { ...breaker, circuit: dropProbe(breaker.circuit) };
}

/** An answer came, whatever it said. One of a tenant for whom it was not open ends a row that was another tenant's. */
export function recordAnswer(breaker: ChannelBreaker, { tenant, isProbe }: { tenant: string; isProbe: boolean }): ChannelBreaker {
  const circuit = recordSuccess(breaker.circuit, isProbe || !concerns(breaker, tenant));
  return circuit === closedCircuit ? closedBreaker : { ...breaker, circuit };
}

/** `tenant`: whose request it was; undefined: the request cannot be the reason. */
export function recordNoAnswer(breaker: ChannelBreaker, failure: CircuitFailure & { readonly tenant: string | undefined }): ChannelBreaker {
  const { circuit } = breaker;
  const isFirst = circuit.failures === 0;
  const culprit = isFirst || breaker.culprit === failure.tenant ? failure.tenant : undefined;
  // it was open for another tenant alone, and is so for everybody from now on
  const hasSpread = circuit.openUntilMs !== undefined && breaker.culprit !== undefined && culprit === undefined;
  return { circuit: recordFailure(circuit, { ...failure, isProbe: failure.isProbe || hasSpread }), culprit };
}
