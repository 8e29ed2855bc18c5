/**
 * Loaded into a process with `--import`: how long its event loop was held up, by the clock and by the CPU time of its own thread (on a busy machine the clock counts what others
 * do as well). On SIGUSR2 it prints the longest since the last time, as one JSON line. A timer comes to its turn between any two rounds of input and output.
 */
import { performance } from 'node:perf_hooks';

const everyMs = 1;
let wallMs = 0;
let cpuMs = 0;
let lastWallMs = performance.now();
let lastCpuMs = threadCpuMs();

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

const timer = setInterval(() => {
  const nowWallMs = performance.now();
  const nowCpuMs = threadCpuMs();
  wallMs = Math.max(wallMs, nowWallMs - lastWallMs - everyMs);
  cpuMs = Math.max(cpuMs, nowCpuMs - lastCpuMs);
  lastWallMs = nowWallMs;
  lastCpuMs = nowCpuMs;
}, everyMs);
timer.unref();

process.on('SIGUSR2', () => {
  process.stdout.write(`${JSON.stringify({ event: 'stall', wallMs, cpuMs, memory: process.memoryUsage() })}\n`);
  wallMs = 0;
  cpuMs = 0;
});
