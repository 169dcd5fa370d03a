// The worker: opens the model once, then answers what the page asks, as the service's paths do.
//
// It is told {model, sha256} first, then {id, path, body} to answer or {cancel: id}; it tells
// {id, answer} or {id, error: {code, message}}.

import { AnswerError } from "./answer_error.js";
import { Familiarity } from "./familiarity.js";
import { inspectSentence } from "./inspect_sentence.js";
import { products } from "./products.js";
import { sha256 } from "./sha256.js";
import { Tokenizer } from "./tokenizer.js";
import { TranslationEngine } from "./translation_engine.js";
import { Translator } from "./translator.js";

const TURN = 12; // ms of work after which what the page says meanwhile is heard
const MOST_CHARACTERS = 5000;

const cancelled = new Set();
let opened = null; // a promise of {model, translator}
let last = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.model !== undefined) opened = open(data);
  else if (data.cancel !== undefined) cancelled.add(data.cancel);
  else last = last.then(() => answer(data));
};

async function answer({ id, path, body }) {
  try {
    self.postMessage({ id, answer: await answerOf(path, body, pauses(id)) });
  } catch (error) {
    if (!cancelled.has(id)) self.postMessage({ id, error: describedError(error) });
  }
  cancelled.delete(id);
}

function describedError(error) {
  const isMemory = error instanceof RangeError && /alloc|memory|length|size/i.test(error.message);
  return { code: error.code ?? (isMemory ? "no_memory" : "worker"), message: error.message };
}

async function answerOf(path, body, pause) {
  const { model, translator } = await opened;
  await pause();
  if (path === "/v1/translate") {
    const found = await translator.translate(body.texts, { nBest: body.n_best ?? 1, pause });
    return { translations: [found] };
  }
  if (path === "/v1/inspect") return inspectSentence(translator, body, pause);
  if (path.startsWith("/v1/run")) return model.run;
  return {
    pairs: [
      {
        ...model.pair,
        name: model.name,
        cell: model.cell,
        attention: model.attention,
        beam_size: model.config.search.beam_size,
        examples: model.examples,
      },
    ],
    run: model.run?.name ?? null,
    max_characters: MOST_CHARACTERS,
    products: translator.engine.kernel.name,
  };
}

// Between two steps of a search: lets messages in when it is time, and ends a search that was cancelled.
function pauses(id) {
  let begun = performance.now();
  return async () => {
    if (performance.now() - begun > TURN) {
      await nextTurn();
      begun = performance.now();
    }
    if (cancelled.has(id)) throw new AnswerError("cancelled", "");
  };
}

const turns = new MessageChannel();

function nextTurn() {
  return new Promise((done) => {
    turns.port1.onmessage = done;
    turns.port2.postMessage(null);
  });
}

async function open({ model: text, sha256: expected }) {
  if ((await digest(new TextEncoder().encode(text))) !== expected) {
    throw new AnswerError("damaged_model", "its SHA-256 is not the one that was exported");
  }
  const model = JSON.parse(text);
  const engine = new TranslationEngine({
    encoder: bytesOf(model.encoder),
    step: bytesOf(model.step),
    cell: model.cell,
    kernel: products(),
  });
  const source = new Tokenizer(model.source);
  const target = model.target === model.source ? source : new Tokenizer(model.target);
  const { config, pair, bounded, confidence } = model;
  const familiarity = model.familiarity && new Familiarity(model.familiarity, bytesOf(model.tables));
  const about = { config, pair, bounded, familiarity, confidence };
  const translator = new Translator({ engine, source, target, ...about });
  return { model, translator };
}

async function digest(bytes) {
  if (!self.crypto?.subtle) return sha256(bytes); // pages without TLS lack it
  const found = new Uint8Array(await self.crypto.subtle.digest("SHA-256", bytes));
  return Array.from(found, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bytesOf(base64) {
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = characters.charCodeAt(i);
  return bytes;
}
