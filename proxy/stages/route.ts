import { orderChannels } from '../../core/route.ts';
import type { Exchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { toHealthQuestion } from '../attempts/try-channel.ts';

/**
 * Stage 4: in which order the channels are tried: lowest priority number first, by weight inside one. One whose breaker is open, or all of whose credentials are cooling down,
 * is left out; one whose own limit is full is passed over when its turn comes (channel-limits.ts).
 */
export function route(exchange: Exchange, parts: Parts): undefined {
  const well = exchange.candidates.filter((candidate) => !('block' in parts.health.look(toHealthQuestion(exchange, candidate))));
  exchange.plan = orderChannels(well, parts.random);
}
