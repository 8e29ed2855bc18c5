import { defineConfig } from 'vitest/config';

/** What a kind of test needs decides its project: `make test-<kind>` runs one of them. */
const needsRedis = ['proxy/counters/redis*.test.ts', 'test/support/redis.test.ts', 'test/redis/**/*.test.ts'];
const needsCluster = ['operator/cluster/kubernetes/**/*.test.ts', 'test/support/control-plane.test.ts', 'test/cluster/**/*.test.ts'];
/** They wait for minutes to pass, nearly idle, and measure no rates: one beside the other, or they alone would take ten minutes. */
const waits = ['test/chart/rbac.test.ts', 'test/e2e/{faults,key-life,rate-limit,sealing,usage}.test.ts'];
const report = process.env['KEYWRIGHT_TEST_REPORT'];
/** long proofs, each with a target of its own (`make prove-…`); `make test` runs a short version of the same */
const prove = process.env['KEYWRIGHT_PROVE'] === undefined ? [] : [{ name: 'prove', include: ['test/prove/**/*.test.ts'] }];

export default defineConfig({
  test: {
    // two cores are what a small CI machine has, and each worker may have an API server beside it
    maxWorkers: 2,
    pool: 'forks',
    // a test that passes at the second try has failed
    retry: 0,
    allowOnly: false,
    // a bound against hanging, like the time limits below
    expect: { poll: { timeout: 45_000 } },
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          // bounds against hanging, here and below, and no measure of speed: a busy machine is no failure. Longer than what is awaited inside, which tells more.
          testTimeout: 60_000,
          hookTimeout: 60_000,
          include: ['{core,runtime,proxy,operator,standalone,cli,crds,bench,docs,examples,test/house,test/support,test/fake}/**/*.test.ts'],
          exclude: [...needsRedis, ...needsCluster],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: 'redis', include: needsRedis, testTimeout: 120_000, hookTimeout: 120_000, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: { name: 'waits', include: waits, testTimeout: 180_000, hookTimeout: 240_000, maxWorkers: 3, sequence: { groupOrder: 2 } },
      },
      ...[
        { name: 'crds', include: ['test/crds/**/*.test.ts'] },
        { name: 'cluster', include: needsCluster },
        { name: 'dataplane', include: ['test/dataplane/**/*.test.ts'] },
        { name: 'chart', include: ['test/chart/**/*.test.ts'] },
        { name: 'e2e', include: ['test/e2e/**/*.test.ts'] },
        ...prove,
      ].map(({ name, include }, index) => ({
        extends: true as const,
        // one file after the other: each starts servers of its own and some measure rates
        test: {
          name,
          include,
          exclude: waits,
          testTimeout: 180_000,
          hookTimeout: 240_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 + index },
        },
      })),
    ],
  },
});
