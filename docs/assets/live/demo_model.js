// The demo model, one for all figures of a page: the site's own copy, which its first page uses too, in a
// worker (src/penstock/insight/web_page.py).
"use strict";

(() => {
  const FOLDER = "../../demo-page/"; // beside assets/

  let worker = null; // a promise of a function that asks it

  window.live.demoModel = (sha256) => (worker ??= open(sha256));

  async function open(sha256) {
    await Promise.all([window.live.load(`${FOLDER}model.js`), window.live.load(`${FOLDER}worker.js`)]);
    const { penstockModel, penstockWorker } = window;
    delete window.penstockModel; // the worker has its own copy
    const code = new Blob([`(${penstockWorker})();`], { type: "text/javascript" });
    const own = new Worker(URL.createObjectURL(code));
    own.postMessage({ model: penstockModel, sha256 });
    const waiting = new Map();
    own.onmessage = ({ data: { id, answer, error } }) => {
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      if (error) reject(new Error(error.message || error.code));
      else resolve(answer);
    };
    own.onerror = ({ message }) => {
      for (const { reject } of waiting.values()) reject(new Error(message));
      waiting.clear();
    };
    let count = 0;
    return (path, body) => new Promise((resolve, reject) => {
      waiting.set((count += 1), { resolve, reject });
      own.postMessage({ id: count, path, body });
    });
  }
})();
