import type { CircuitState } from '../../core/circuit.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { ChannelHealthView } from './channel-health.ts';

const breakerStates: Readonly<Record<CircuitState, number>> = { closed: 0, halfOpen: 1, probing: 1, open: 2 };

/** The health of the channels as this proxy sees it; one series a channel and one a credential, so as many as the snapshot has. */
export function addChannelMetrics(metrics: Metrics, describe: () => readonly ChannelHealthView[]): void {
  metrics.gauge({
    name: 'channel_breaker_state',
    help: 'Breaker of a Channel, as it is for everybody: 0 closed, 1 half-open, 2 open.',
    labels: ['channel'],
    collect(gauge) {
      gauge.reset();
      for (const { id, breaker } of describe()) gauge.set({ channel: id }, breakerStates[breaker]);
    },
  });
  metrics.gauge({
    name: 'channel_breaker_open_for_one',
    help: '1 while the breaker of a Channel is open for the requests of one namespace alone, since only those have failed.',
    labels: ['channel'],
    collect(gauge) {
      gauge.reset();
      for (const { id, openForOneTenant } of describe()) gauge.set({ channel: id }, openForOneTenant ? 1 : 0);
    },
  });
  metrics.gauge({
    name: 'channel_credential_usable',
    help: 'Whether a credential of a Channel is in its pool: 1, or 0 while it is out or cooling down.',
    labels: ['channel', 'credential'],
    collect(gauge) {
      gauge.reset();
      for (const { id, credentials } of describe()) {
        for (const { name, state } of credentials) gauge.set({ channel: id, credential: name }, state === 'well' ? 1 : 0);
      }
    },
  });
}
