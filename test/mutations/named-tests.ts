import type { Mutation } from './plant.ts';

/** The contract suite runs once for each store. */
export const memory = (name: string): Mutation['test'] => ({ file: 'proxy/counters/memory.test.ts', name: `counters: memory > ${name}` });
export const redis = (name: string): Mutation['test'] => ({ file: 'proxy/counters/redis.test.ts', name: `counters: Redis > ${name}` });
export const redisMoney = (name: string): Mutation['test'] => ({ file: 'proxy/counters/redis.test.ts', name: `budgets: Redis > ${name}` });
export const memoryMoney = (name: string): Mutation['test'] => ({
  file: 'proxy/counters/memory.test.ts',
  name: `budgets: memory > ${name}`,
});
export const golden = (file: string): Mutation['test'] => ({ file: 'operator/translate/translate.test.ts', name: `translate > ${file}` });

export const usage = (name: string): Mutation['test'] => ({ file: 'operator/usage/usage.test.ts', name });

export const interleavings: Mutation['test'] = {
  file: 'operator/interleavings/interleavings.test.ts',
  name: 'any interleaving of users, time, crashes at any write, and two leaders of which one lags behind > never delivers what is refused, never accepts what is planted, undelivered or over, and comes to rest',
};
