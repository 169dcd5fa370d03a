// Greedy search with an exported translation model, in Node or in a browser.
//
//   penstock export -m runs/demo --out demo-export
//   npm install onnxruntime-web
//   echo '[[387, 454, 292, 17, 3]]' | node examples/greedy.mjs demo-export
//
// It reads and writes ids: the bundle's tokenizers are JSON of the Hugging Face `tokenizers`
// library, which has bindings for many languages. A source ends with EOS.

import * as ort from "onnxruntime-web";

const PAD = 0, UNK = 1, BOS = 2, EOS = 3;
const BLOCKED = new Set([PAD, UNK, BOS]);

const int64 = (values, shape) =>
  new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);

// Names with a dot are gates and states to look at: nobody needs them here.
const needed = (session) => session.outputNames.filter((name) => !name.includes("."));

/** The ids of one source's translation. */
export async function translate({ encoder, step }, source, maxLength = 2 * source.length + 10) {
  const encoded = await encoder.run({
    tokens: int64(source, [1, source.length]),
    lengths: int64([source.length], [1]),
  }, needed(encoder));
  // What the encoder gives is what the step takes: the memory stays, the state is replaced.
  const feeds = { ...encoded, parents: int64([0], [1]), top: int64([BLOCKED.size + 1], [1]) };
  if ("keys" in encoded) {
    // Two slots for the one row: a product of one row alone is summed in another order.
    feeds.slots = int64([0, 0], [1, 2]);
    feeds.places = int64([0], [1]);
  } else {
    feeds.sentences = int64([0], [1]);
  }
  const [output, wanted] = [[], needed(step)];
  for (let token = BOS; output.length < maxLength; output.push(token)) {
    feeds.tokens = int64([token], [1]);
    const result = await step.run(feeds, wanted);
    token = Array.from(result.top_ids.data, Number).find((id) => !BLOCKED.has(id));
    if (token === EOS) break;
    for (const [name, value] of Object.entries(result)) {
      if (name.endsWith("_next")) feeds[name.slice(0, -"_next".length)] = value;
    }
  }
  return output;
}

/** Both graphs of a bundle; `read` gives a file's bytes by its name. */
export async function load(read) {
  const { files } = JSON.parse(new TextDecoder().decode(await read("bundle.json")));
  const open = async (role) =>
    ort.InferenceSession.create(await read(files[role].name), { executionProviders: ["wasm"] });
  return { encoder: await open("onnx_encoder"), step: await open("onnx_step") };
}

if (typeof process !== "undefined" && process.argv[2]) {
  const { readFile } = await import("node:fs/promises");
  const folder = process.argv[2];
  ort.env.wasm.numThreads = 1;
  const model = await load(async (name) => new Uint8Array(await readFile(`${folder}/${name}`)));
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const outputs = [];
  for (const source of JSON.parse(Buffer.concat(chunks).toString())) {
    outputs.push(await translate(model, source));
  }
  console.log(JSON.stringify(outputs));
}
