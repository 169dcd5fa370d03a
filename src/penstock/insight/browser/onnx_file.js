// Reads an ONNX file, which is protobuf. Field numbers: onnx.proto of github.com/onnx/onnx.

import { tensor } from "./tensor.js";

// The graph of a model file: {nodes, constants, outputs}.
export function readModel(bytes) {
  const [graph] = fieldsOf(bytes).get(7) ?? [];
  if (!graph) throw new Error("not an ONNX model");
  return readGraph(graph);
}

function readGraph(bytes) {
  const fields = fieldsOf(bytes);
  const constants = new Map();
  for (const content of fields.get(5) ?? []) {
    const [name, value] = readTensor(content);
    constants.set(name, value);
  }
  return {
    nodes: (fields.get(1) ?? []).map(readNode),
    constants,
    inputs: (fields.get(11) ?? []).map((value) => text(fieldsOf(value).get(1)[0])),
    outputs: (fields.get(12) ?? []).map((value) => text(fieldsOf(value).get(1)[0])),
  };
}

function readNode(bytes) {
  const fields = fieldsOf(bytes);
  const attributes = {};
  for (const content of fields.get(5) ?? []) {
    const own = fieldsOf(content);
    attributes[text(own.get(1)[0])] = attributeValue(own);
  }
  return {
    kind: text(fields.get(4)[0]),
    inputs: (fields.get(1) ?? []).map(text),
    outputs: (fields.get(2) ?? []).map(text),
    attributes,
  };
}

function attributeValue(fields) {
  if (fields.has(6)) return readGraph(fields.get(6)[0]);
  if (fields.has(8)) return integers(fields.get(8));
  if (fields.has(2)) return new DataView(fields.get(2)[0].slice().buffer).getFloat32(0, true);
  return signed(fields.get(3)?.[0] ?? 0);
}

const READERS = {
  1: (bytes) => new Float32Array(bytes.slice().buffer),
  2: (bytes) => bytes.slice(),
  3: (bytes) => new Int8Array(bytes.slice().buffer),
  7: (bytes) => Int32Array.from(new BigInt64Array(bytes.slice().buffer), clamped),
  9: (bytes) => bytes.slice(),
};

function readTensor(bytes) {
  const fields = fieldsOf(bytes);
  const read = READERS[fields.get(2)?.[0]];
  const [raw] = fields.get(9) ?? [new Uint8Array(0)];
  if (!read) throw new Error("a tensor of a type that penstock never writes");
  return [text(fields.get(8)[0]), tensor(read(raw), integers(fields.get(1) ?? []))];
}

// indices and sizes: what is beyond 32 bits means `to the end`
function clamped(value) {
  return Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Number(value)));
}

function signed(value) {
  return typeof value === "bigint" ? Number(BigInt.asIntN(64, value)) : value;
}

// Repeated numbers, packed or not.
function integers(values) {
  return values.flatMap((value) => {
    if (!(value instanceof Uint8Array)) return [signed(value)];
    const found = [];
    for (let at = 0; at < value.length;) {
      const [number, next] = varint(value, at);
      found.push(signed(number));
      at = next;
    }
    return found;
  });
}

const UTF8 = new TextDecoder();

function text(bytes) {
  return UTF8.decode(bytes);
}

// The fields of a message: number to its values, numbers or bytes.
function fieldsOf(bytes) {
  const fields = new Map();
  for (let at = 0; at < bytes.length;) {
    let key, value;
    [key, at] = varint(bytes, at);
    const wire = key & 7;
    if (wire === 0) [value, at] = varint(bytes, at);
    else {
      let size = wire === 1 ? 8 : 4;
      if (wire === 2) [size, at] = varint(bytes, at);
      if (at + size > bytes.length || wire === 3 || wire === 4) throw new Error("cut off");
      value = bytes.subarray(at, at + size);
      at += size;
    }
    const number = key >>> 3;
    if (fields.has(number)) fields.get(number).push(value);
    else fields.set(number, [value]);
  }
  return fields;
}

// A number, as BigInt where it has more than 32 bits, and where it ends.
function varint(bytes, at) {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = bytes[at++];
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return [value, at];
  }
  let large = BigInt(value);
  for (let shift = 28n; shift < 70n; shift += 7n) {
    const byte = bytes[at++];
    large |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return [large < 2n ** 31n ? Number(large) : large, at];
  }
  throw new Error("a number too long");
}
