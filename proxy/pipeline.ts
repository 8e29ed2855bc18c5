import type { Refusal } from '../core/refusals.ts';
import { answerRefusal, toAnswerHeaders } from './answers/answer.ts';
import type { Surface } from './dialects/dialect.ts';
import { abandonExchange, type Exchange } from './exchange.ts';
import { describeKey } from './own-surfaces/key-self.ts';
import { listModels } from './own-surfaces/list-models.ts';
import type { Parts } from './parts.ts';
import { admit } from './stages/admit.ts';
import { authenticate } from './stages/authenticate.ts';
import { authorize } from './stages/authorize.ts';
import { locate } from './stages/locate.ts';
import { forward } from './stages/forward.ts';
import { record } from './stages/record.ts';
import { route } from './stages/route.ts';
import { settle } from './stages/settle.ts';

/** Gives why the request is refused, or nothing when the next stage may go on (or the answer has been given). */
type Stage = (exchange: Exchange, parts: Parts) => Refusal | undefined | Promise<Refusal | undefined>;

const proxied: readonly Stage[] = [authenticate, authorize, admit, route, forward];
const kept: readonly Stage[] = [authenticate, authorize, locate, admit, route, forward];
const models: readonly Stage[] = [authenticate, authorize, listModels];
const key: readonly Stage[] = [authenticate, authorize, describeKey];

const stagesOf: Readonly<Record<Surface['operation'], readonly Stage[]>> = {
  chat: kept,
  stored: kept,
  count_tokens: proxied,
  embeddings: proxied,
  moderations: proxied,
  images: proxied,
  audio: proxied,
  models,
  model: models,
  key,
};

/** The life of one request. Never rejects: a refusal is a value, and a bug becomes `internal` here and nowhere else. */
export async function runPipeline(exchange: Exchange, parts: Parts): Promise<void> {
  exchange.response.on('error', () => abandonExchange(exchange));
  exchange.response.on('close', () => {
    if (!exchange.response.writableFinished) abandonExchange(exchange);
  });
  const refusal = await runStages(exchange, parts);
  // settled before the client can see the end of its answer: with `concurrency: 1` its next request may follow at once
  guard(exchange, parts, () => settle(exchange, parts, refusal));
  if (refusal !== undefined) guard(exchange, parts, () => answer(exchange, refusal));
  guard(exchange, parts, () => record(exchange, parts, refusal));
  exchange.body = undefined;
  exchange.releaseBody?.();
  exchange.presentedKey = undefined;
}

/** The last steps run whatever became of the one before. */
function guard(exchange: Exchange, parts: Parts, step: () => void): void {
  try {
    step();
  } catch (error) {
    toInternal(exchange, parts, error);
  }
}

async function runStages(exchange: Exchange, parts: Parts): Promise<Refusal | undefined> {
  try {
    for (const stage of stagesOf[exchange.surface.operation]) {
      const result = stage(exchange, parts);
      const refusal = result instanceof Promise ? await result : result;
      if (refusal !== undefined || exchange.gone) return refusal;
      if (exchange.ended !== undefined && !exchange.response.headersSent) return exchange.ended;
    }
    return undefined;
  } catch (error) {
    return toInternal(exchange, parts, error);
  }
}

/** The client learns the request id and nothing else (core/refusal-answer.ts). */
function toInternal(exchange: Exchange, parts: Parts, error: unknown): Refusal {
  parts.log.error({ err: error, request_id: exchange.requestId }, 'a bug ended a request');
  return { code: 'internal', message: 'unexpected error' };
}

function answer(exchange: Exchange, refusal: Refusal): void {
  const { request, response, dialect, requestId } = exchange;
  // a bug in the middle of an answer: a cut connection is the only thing that cannot be taken for its end
  if (response.headersSent) response.destroy();
  else answerRefusal({ request, response, refusal, dialect, requestId, headers: toAnswerHeaders(exchange) });
}
