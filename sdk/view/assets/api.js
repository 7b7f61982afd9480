// What the page asks its device. One key per tab, held in sessionStorage: that belongs to this address and port alone,
// unlike a cookie, which every server on 127.0.0.1 would get.

const KEY = "meritrec-key";
const PATIENCE_MS = 120_000;

export class ApiError extends Error {
  constructor(name, message, status) {
    super(message);
    this.name = name;
    this.status = status;
  }
}

export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

// Trades the token of a link, good for once, for this tab's key.
export async function enter(token) {
  const { key } = await call("POST", "session", { token });
  sessionStorage.setItem(KEY, key);
}

export function get(path, query = {}) {
  const parts = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const search = new URLSearchParams(parts.map(([name, value]) => [name, String(value)])).toString();
  return call("GET", search ? `${path}?${search}` : path);
}

export function post(path, body = {}, patience = PATIENCE_MS) {
  return call("POST", path, body, patience);
}

async function call(method, path, body, patience = PATIENCE_MS) {
  const headers = { Accept: "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key !== null) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`/api/${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(patience),
    });
  } catch {
    throw new ApiError("Unreachable", "This page lost its device. If “meritrec view” was stopped, start it again and open the link it prints.", 0);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    if (response.status === 401) sessionStorage.removeItem(KEY);
    throw new ApiError(answer.error ?? "Failed", answer.message ?? `The device answered ${response.status}.`, response.status);
  }
  return answer;
}
