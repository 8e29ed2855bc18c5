import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Relay {
  readonly port: number;
  /** refuses connections and resets those that are open */
  cut(): Promise<void>;
  restore(): Promise<void>;
  /** connections stay open and nothing flows */
  pause(): void;
  resume(): void;
  /** what the server says from now on is lost; what clients say still reaches it. Only `cut` ends that: a stream with a hole is no use any more */
  loseReplies(): void;
  close(): Promise<void>;
}

/** A TCP relay on a loopback port in front of a server that a test may not stop itself. */
export async function startRelay(host: string, port: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let paused = false;
  let losing = false;
  const server = createServer((client) => {
    const upstream = connect({ host, port });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => void ((losing && from === upstream) || to.write(chunk) || from.pause()));
      to.on('drain', () => paused || from.resume());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      if (paused) from.pause();
    }
  });
  const listen = async (wanted: number): Promise<void> => {
    server.listen(wanted, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const own = (server.address() as AddressInfo).port;
  const cut = async (): Promise<void> => {
    losing = false;
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  return {
    port: own,
    cut,
    restore: () => listen(own),
    pause() {
      paused = true;
      for (const socket of sockets) socket.pause();
    },
    resume() {
      paused = false;
      for (const socket of sockets) socket.resume();
    },
    loseReplies() {
      losing = true;
    },
    close: cut,
  };
}
