// Requests to bRAG. Everything that fails is an ApiError with `status`, `code` and a plain message.

export class ApiError extends Error {
  constructor(status, body, headers) {
    const error = body?.error ?? {};
    super(error.message || body?.detail || `The server answered with status ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.code = error.code ?? "";
    this.details = error.details ?? {};
    this.requestId = error.request_id ?? "";
    this.retryAfter = Number(headers?.get("retry-after")) || 0;
  }
}

// What happens when somebody has to sign in; the router sets it.
let signIn = () => {};
export const onSignedOut = (action) => { signIn = action; };

// The proof that a request is this page's own. It is of no use without the cookie, which no script
// can read; the account tells it again to a page that was loaded anew.
const NEEDS_PROOF = document.body.dataset.auth === "required";
let csrf = null;
export const rememberCsrf = (token) => { csrf = token; };
export const forgetCsrf = () => { csrf = null; };

async function proof() {
  csrf ??= (await (await fetch("/v1/me")).json().catch(() => ({}))).csrf_token ?? null;
  return csrf ? { "X-CSRF-Token": csrf } : {};
}

const isLogin = (path) => path.startsWith("/v1/login") || path.startsWith("/v1/register");

// Do something with the headers that prove a request; twice, when somebody has signed in anew in
// another window, so that the proof was of the session before.
async function proven(path, action) {
  if (!NEEDS_PROOF || isLogin(path)) return action({});
  try {
    return await action(await proof());
  } catch (error) {
    if (error.code !== "csrf_proof_missing") throw error;
    forgetCsrf();
    return action(await proof());
  }
}

function refused(path, error) {
  if (error.status === 401 && !isLogin(path)) signIn(error);
  return error;
}

const unreachable = () => new ApiError(0, { detail: "The server can't be reached. Is it running?" });

// Send a request and return the Response; `body` is sent as JSON, a FormData as it is.
export async function send(method, path, body, { signal, headers = {} } = {}) {
  const init = { method, signal, headers: { Accept: "application/json", ...headers } };
  if (body instanceof FormData) {
    init.body = body;
  } else if (body !== undefined) {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const request = async (proofs) => {
    const response = await fetch(path, { ...init, headers: { ...init.headers, ...proofs } });
    if (response.ok) return response;
    throw refused(path, new ApiError(
      response.status, await response.json().catch(() => null), response.headers,
    ));
  };
  try {
    return await (method === "GET" ? request({}) : proven(path, request));
  } catch (error) {
    throw error.name === "AbortError" || error instanceof ApiError ? error : unreachable();
  }
}

// Send a form and tell how far it is, which fetch can't: `onprogress(sentBytes, allBytes)`.
export const upload = (path, form, { signal, onprogress }) =>
  proven(path, (proofs) => new Promise((resolve, reject) => {
    const cancelled = () => reject(new DOMException("The upload was cancelled.", "AbortError"));
    // While the proof was waited for.
    if (signal.aborted) { cancelled(); return; }
    const sending = new XMLHttpRequest();
    sending.open("POST", path);
    sending.responseType = "json";
    for (const [name, value] of Object.entries(proofs)) sending.setRequestHeader(name, value);
    sending.upload.onprogress = (event) => onprogress(event.loaded, event.total);
    sending.onload = () => {
      if (sending.status < 300) { resolve(sending.response); return; }
      const headers = { get: (name) => sending.getResponseHeader(name) };
      reject(refused(path, new ApiError(sending.status, sending.response, headers)));
    };
    sending.onerror = () => reject(unreachable());
    sending.onabort = cancelled;
    signal.addEventListener("abort", () => sending.abort(), { once: true });
    sending.send(form);
  }));

// Send a request and return what the answer holds; null when it holds nothing.
export async function api(method, path, body, options) {
  const response = await send(method, path, body, options);
  return response.status === 204 ? null : response.json();
}

// Return a page of a list, and the path of the next one or null.
export async function page(path, options) {
  const response = await send("GET", path, undefined, options);
  const next = /<([^>]+)>; rel="next"/.exec(response.headers.get("link") ?? "");
  return { items: await response.json(), next: next ? next[1] : null };
}
