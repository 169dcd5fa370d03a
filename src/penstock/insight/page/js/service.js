// Asking the server. What goes wrong becomes a ServiceError with a code that `strings.js` explains.

import { apiKey } from "./api_key.js";
import { ServiceError } from "./service_error.js";

export const offers = { exact: true, isServer: true };

const PATIENCE = 20_000; // ms until we give up on an answer

async function refusal(response) {
  let code = `http_${response.status}`;
  let message = "";
  try {
    const body = await response.json();
    code = body.error?.code ?? code;
    message = body.error?.message ?? "";
  } catch {
    // a proxy's page, or nothing: the status has to do
  }
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  return new ServiceError(code, message, { status: response.status, retryAfter });
}

// The response to a request; `signal` aborts it, and then an AbortError comes out.
async function requestOf(path, { body = null, signal = null, patience = PATIENCE } = {}) {
  const late = AbortSignal.timeout(patience);
  const options = { signal: signal ? AbortSignal.any([signal, late]) : late, cache: "no-store" };
  if (body !== null) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const key = apiKey();
  if (key) options.headers = { ...options.headers, Authorization: `Bearer ${key}` };
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (signal?.aborted) throw error;
    if (late.aborted) throw new ServiceError("no_answer", "");
    throw new ServiceError("unreachable", "");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function ask(path, options = {}) {
  const response = await requestOf(path, options);
  try {
    return await response.json();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ServiceError("garbled", "");
  }
}

// The events of a text/event-stream answer to a POST, as {event, data}.
export async function* eventsOf(path, options) {
  const response = await requestOf(path, { patience: 120_000, ...options });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    pending += value.replaceAll("\r\n", "\n");
    const blocks = pending.split("\n\n");
    pending = blocks.pop();
    for (const block of blocks) {
      const event = { event: "message", data: "" };
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) event.event = line.slice(6).trim();
        if (line.startsWith("data:")) event.data += line.slice(5).trim();
      }
      yield event;
    }
  }
}
