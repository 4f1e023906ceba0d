// Requests to the page's server.

const TIMEOUT_MS = 15_000;

/** An answer that is an error; `message` is the server's own words where it gave some. */
export class ServerError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * Fetch JSON.
 * @param {string} path
 * @returns {Promise<any>}
 * @throws {ServerError} the server answered with an error
 * @throws {TypeError|DOMException} it did not answer
 */
export async function fetchJson(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (response.ok) return response.json();
  throw new ServerError(response.status, await readReason(response));
}

async function readReason(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `The page's server answered ${response.status} ${response.statusText}.`;
  }
}

/** Return the address of a symbol's page. Names may have letters outside ASCII. */
export function symbolPath(symbol) {
  return `/symbols/${encodeURIComponent(symbol)}`;
}
