// Asking the model in the page: what `service.js` offers, answered by a worker instead of a server.
//
// `penstock export --web` puts this module in the place of `service.js`. It also makes `model.js`,
// whose text is the model, and `worker.js`, whose function is the worker's code: a page that was
// opened from a folder may load scripts, but neither fetch files nor start a worker from one.

import { ServiceError } from "./service_error.js";

export const offers = { exact: false, isServer: false };

const waiting = new Map(); // by number: {resolve, reject}
let count = 0;
let failure = null;
const worker = startWorker();

function startWorker() {
  const { penstockModel: model, penstockWorker: code } = window;
  const { sha256 } = document.querySelector("[data-sha256]").dataset;
  delete window.penstockModel; // the worker has its own copy
  if (typeof model !== "string" || !code) {
    failure = failed("damaged_model", "");
    return null;
  }
  const place = URL.createObjectURL(new Blob([`(${code})();`], { type: "text/javascript" }));
  try {
    const started = new Worker(place);
    started.onmessage = ({ data }) => settleAnswer(data);
    started.onerror = (event) => rejectAll(failed("worker", event.message ?? ""));
    started.postMessage({ model, sha256 });
    return started;
  } catch (error) {
    failure = failed("worker", error.message);
    return null;
  }
}

// A status that says: asking again would not help.
function failed(code, message) {
  return new ServiceError(code, message, { status: 400 });
}

function settleAnswer({ id, answer, error }) {
  const own = waiting.get(id);
  waiting.delete(id);
  if (error) own?.reject(failed(error.code, error.message));
  else own?.resolve(answer);
}

function rejectAll(error) {
  failure = error;
  for (const own of waiting.values()) own.reject(error);
  waiting.clear();
}

export function ask(path, { body = null, signal = null } = {}) {
  if (failure) return Promise.reject(failure);
  return new Promise((resolve, reject) => {
    const id = (count += 1);
    waiting.set(id, { resolve, reject });
    signal?.addEventListener("abort", () => {
      if (waiting.delete(id)) worker.postMessage({ cancel: id });
      reject(signal.reason);
    });
    worker.postMessage({ id, path, body });
  });
}

// Running text comes from a server alone.
export function eventsOf(path) {
  throw failed("worker", path);
}
