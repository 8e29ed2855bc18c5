import { connect, type Socket } from 'node:net';

/** A client that writes bytes as they are and collects what comes back. */
export interface RawClient {
  readonly socket: Socket;
  text(): string;
  /** resolves when the text so far satisfies the predicate, or rejects at the end of the connection */
  until(predicate: (text: string) => boolean): Promise<string>;
  closed: Promise<string>;
}

export function openRaw(port: number, bytes: string | Buffer): RawClient {
  let text = '';
  const waiting = new Set<() => void>();
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    for (const check of waiting) check();
  });
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => {
    socket.on('close', () => {
      resolve(text);
      for (const check of waiting) check();
    });
  });
  return {
    socket,
    text: () => text,
    closed,
    until: (predicate) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (predicate(text)) resolve(text);
          else if (socket.destroyed) reject(new Error(`the connection closed after ${JSON.stringify(text)}`));
          else return;
          waiting.delete(check);
        };
        waiting.add(check);
        check();
      }),
  };
}
