// The page's own engine beside ONNX Runtime Web, on the same int8 graphs: how fast each opens them
// and translates, in turns, one thread. Times are the process's own, not the clock's.
//
//   npm install --prefix examples        # ONNX Runtime Web
//   node benchmarks/browser_engines.mjs src/penstock/demo_model

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { products } from "../src/penstock/insight/browser/products.js";
import { TranslationEngine } from "../src/penstock/insight/browser/translation_engine.js";

const SOURCE = [10, 500, 23, 77, 300, 40, 41, 900, 3];
const [ROWS, STEPS, ROUNDS] = [5, 12, 60];

const now = () => process.cpuUsage().user / 1000; // ms
const folder = process.argv[2];
const { files, config } = JSON.parse(await readFile(`${folder}/bundle.json`, "utf8"));
const read = async (role) => new Uint8Array(await readFile(`${folder}/${files[role].name}`));
const [encoder, step] = [await read("onnx_encoder"), await read("onnx_step")];

function openOwn(withSimd) {
  const engine = new TranslationEngine({ encoder, step, cell: config.model.cell, kernel: products(withSimd) });
  return () => {
    let state = { ...engine.start(SOURCE), parents: Array(ROWS).fill(0) };
    for (let t = 0; t < STEPS; t += 1) ({ state } = engine.step(Array(ROWS).fill(t + 5), state));
  };
}

async function openRuntime() {
  const require = createRequire(new URL("../examples/package.json", import.meta.url));
  const ort = await import(pathToFileURL(require.resolve("onnxruntime-web")));
  ort.env.wasm.numThreads = 1;
  const open = (bytes) => ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const sessions = [await open(encoder), await open(step)];
  const [read, written] = sessions.map(({ outputNames }) => outputNames.filter((name) => !name.includes(".")));
  const whole = (values, shape) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
  return async () => {
    const feeds = await sessions[0].run(
      { tokens: whole(SOURCE, [1, SOURCE.length]), lengths: whole([SOURCE.length], [1]) }, read,
    );
    const places = Array.from({ length: ROWS }, (_, i) => i);
    Object.assign(feeds, { slots: whole(places, [1, ROWS]), places: whole(places, [ROWS]), top: whole([8], [1]) });
    feeds.parents = whole(places.map(() => 0), [ROWS]);
    for (let t = 0; t < STEPS; t += 1) {
      feeds.tokens = whole(places.map(() => t + 5), [ROWS]);
      const found = await sessions[1].run(feeds, written.filter((name) => name !== "log_probs"));
      for (const [name, value] of Object.entries(found)) {
        if (name.endsWith("_next")) feeds[name.slice(0, -"_next".length)] = value;
      }
      feeds.parents = whole(places, [ROWS]);
    }
  };
}

const engines = {};
for (const [name, open] of [
  ["own, WebAssembly SIMD", () => openOwn(true)],
  ["own, JavaScript", () => openOwn(false)],
  ["ONNX Runtime Web", openRuntime],
]) {
  const begun = now();
  const translate = await open();
  await translate();
  engines[name] = { translate, opened: now() - begun, times: [] };
}
for (let round = 0; round < ROUNDS; round += 1) {
  for (const { translate, times } of Object.values(engines)) {
    const begun = now();
    await translate();
    times.push(now() - begun);
  }
}
for (const [name, { opened, times }] of Object.entries(engines)) {
  const median = times.sort((a, b) => a - b)[ROUNDS >> 1];
  console.log(`${name}: first translation after ${opened.toFixed(0)} ms, then ${median.toFixed(1)} ms each`);
}
