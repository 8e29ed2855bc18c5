const causes: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is taken by another process',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'this user may not use that port',
};

interface SystemError {
  readonly code?: unknown;
  readonly syscall?: unknown;
  readonly address?: unknown;
  readonly port?: unknown;
  readonly hostname?: unknown;
  readonly url?: unknown;
}

/** One sentence for what whoever starts a command can mend: an address that cannot be had, an image that has other commands. undefined: anything else, which is a bug and keeps its stack. */
export function describeStartFailure(error: unknown): string | undefined {
  const { code, syscall, address, port, hostname, url }: SystemError = error instanceof Error ? (error as SystemError) : {};
  if (typeof code !== 'string') return undefined;
  if (code === 'ERR_MODULE_NOT_FOUND' && isOfCommand(url))
    return 'this image does not have that command; the image keywright has all of them';
  if (syscall === 'getaddrinfo') return `cannot listen on ${String(hostname)}: the name is not known (${code})`;
  if (syscall !== 'listen') return undefined;
  return `cannot listen on ${String(address)}:${String(port)}: ${causes[code] ?? 'the system refuses it'} (${code})`;
}

/** What an image leaves out is the module of a whole command; any other that is missing is a bug. */
function isOfCommand(url: unknown): boolean {
  return typeof url === 'string' && /\/(operator\/main|proxy\/main|standalone\/main|cli\/[a-z-]+)\.js$/.test(url);
}
