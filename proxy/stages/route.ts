import { orderChannels } from '../../core/route.ts';
import type { Exchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';

/**
 * Stage 4: in which order the channels are tried: lowest priority number first, by weight inside one. Health is to come in here: a channel that is cooling down or
 * whose breaker is open will be taken out of the plan. One whose own limit is full is passed over when its turn comes (channel-limits.ts).
 */
export function route(exchange: Exchange, parts: Parts): undefined {
  exchange.plan = orderChannels(exchange.candidates, parts.random);
}
