// The operators of ONNX that penstock's graphs of translation use: inputs and attributes to outputs.
// https://onnx.ai/onnx/operators says what each computes.

import { logistic, round, roundHalfEven, softmaxRows, tanh } from "./float_functions.js";
import { axisOf, broadcastPlaces, broadcastShape, sizeOf, tensor } from "./tensor.js";

// The last argument, {kernel, packed}, multiplies integers (products.js) and keeps weights laid out.
export const OPERATORS = {
  Add: elementwise((a, b) => a + b),
  Sub: elementwise((a, b) => a - b),
  Mul: elementwise((a, b) => a * b),
  Div: elementwise((a, b) => a / b),
  Less: elementwise((a, b) => (a < b ? 1 : 0), Uint8Array),
  Sum: (inputs) => [inputs.reduce((sum, each) => OPERATORS.Add([sum, each])[0])],
  Sigmoid: mapping(logistic),
  Tanh: mapping(tanh),
  Relu: mapping((x) => Math.max(x, 0)),
  Identity: ([x]) => [x],
  Cast: ([x], { to }) => [tensor((to === 1 ? Float32Array : Int32Array).from(x.data), x.shape)],
  Shape: ([x]) => [tensor(Int32Array.from(x.shape), [x.shape.length])],
  Range: ([first, end, step]) => {
    const count = Math.max(0, Math.ceil((end.data[0] - first.data[0]) / step.data[0]));
    return [tensor(Int32Array.from({ length: count }, (_, i) => first.data[0] + i * step.data[0]), [count])];
  },
  ConstantOfShape: ([shape]) => [tensor(new Float32Array(sizeOf(shape.data)), [...shape.data])],
  Reshape: ([x, wanted]) => [tensor(x.data, reshaped(x.shape, wanted.data))],
  Squeeze: ([x, axes]) => {
    const dropped = new Set([...axes.data].map((axis) => axisOf(axis, x.shape)));
    return [tensor(x.data, x.shape.filter((_, axis) => !dropped.has(axis)))];
  },
  Unsqueeze: ([x, axes]) => {
    const shape = [...x.shape];
    const rank = shape.length + axes.data.length;
    const added = [...axes.data].map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);
    for (const axis of added) shape.splice(axis, 0, 1);
    return [tensor(x.data, shape)];
  },
  Expand: ([x, wanted]) => {
    const shape = broadcastShape(x.shape, [...wanted.data]);
    return [tensor(taken(x.data, broadcastPlaces(x.shape, shape)), shape)];
  },
  Transpose: ([x], { perm }) => [transposedAxes(x, perm)],
  Concat: (inputs, { axis }) => [concatenated(inputs, axis)],
  Split: ([x, sizes], { axis = 0 }, outputs) => split(x, axisOf(axis, x.shape), sizes?.data, outputs),
  Gather: ([x, ids], { axis = 0 }) => [gathered(x, ids, axisOf(axis, x.shape))],
  Pad: ([x, pads]) => [padded(x, pads.data)],
  Where: ([condition, x, y]) => [chosen(condition, x, y)],
  ReverseSequence: ([x, lengths]) => [reversed(x, lengths.data)],
  Softmax: ([x]) => [softmaxRows(x, false)],
  LogSoftmax: ([x]) => [softmaxRows(x, true)],
  LayerNormalization: ([x, scale, bias], { epsilon }) => [normalized(x, scale.data, bias.data, epsilon)],
  QuantizeLinear: ([x, scale, zero]) => [quantized(x, scale.data[0], zero.data[0])],
  MatMul: ([x, y]) => [multiplied(x, y)],
  MatMulIntegerToFloat: (inputs, _, __, tools) => [integerProduct(inputs, tools)],
};

function mapping(compute) {
  return ([x]) => {
    const data = new Float32Array(x.data.length);
    for (let i = 0; i < data.length; i += 1) data[i] = compute(x.data[i]);
    return [tensor(data, x.shape)];
  };
}

function elementwise(compute, Result = null) {
  return ([x, y]) => {
    const [a, b] = [x.data, y.data];
    const Own = Result ?? a.constructor;
    if (b.length === 1 && x.shape.length >= y.shape.length) {
      const data = new Own(a.length);
      for (let i = 0; i < data.length; i += 1) data[i] = compute(a[i], b[0]);
      return [tensor(data, x.shape)];
    }
    if (a.length === b.length && `${x.shape}` === `${y.shape}`) {
      const data = new Own(a.length);
      for (let i = 0; i < data.length; i += 1) data[i] = compute(a[i], b[i]);
      return [tensor(data, x.shape)];
    }
    const shape = broadcastShape(x.shape, y.shape);
    const [left, right] = [broadcastPlaces(x.shape, shape), broadcastPlaces(y.shape, shape)];
    const data = new Own(left.length);
    for (let i = 0; i < data.length; i += 1) data[i] = compute(a[left[i]], b[right[i]]);
    return [tensor(data, shape)];
  };
}

function taken(data, places) {
  const found = new data.constructor(places.length);
  for (let i = 0; i < places.length; i += 1) found[i] = data[places[i]];
  return found;
}

function reshaped(shape, wanted) {
  const found = Array.from(wanted, (size, axis) => (size === 0 ? shape[axis] : size));
  const open = found.indexOf(-1);
  if (open >= 0) {
    found[open] = 1;
    found[open] = sizeOf(shape) / sizeOf(found);
  }
  return found;
}

function transposedAxes(x, perm) {
  const steps = new Array(x.shape.length);
  for (let axis = x.shape.length - 1, step = 1; axis >= 0; axis -= 1) {
    steps[axis] = step;
    step *= x.shape[axis];
  }
  const shape = perm.map((axis) => x.shape[axis]);
  const data = new x.data.constructor(x.data.length);
  const at = new Array(shape.length).fill(0);
  for (let i = 0, from = 0; i < data.length; i += 1) {
    data[i] = x.data[from];
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      at[axis] += 1;
      from += steps[perm[axis]];
      if (at[axis] < shape[axis]) break;
      from -= steps[perm[axis]] * shape[axis];
      at[axis] = 0;
    }
  }
  return tensor(data, shape);
}

// A shape as (before, along, behind) an axis.
function around(shape, axis) {
  return [sizeOf(shape.slice(0, axis)), shape[axis], sizeOf(shape.slice(axis + 1))];
}

function concatenated(inputs, axis) {
  const place = axisOf(axis, inputs[0].shape);
  const shape = [...inputs[0].shape];
  shape[place] = inputs.reduce((sum, each) => sum + each.shape[place], 0);
  const [before, along, behind] = around(shape, place);
  const data = new inputs[0].data.constructor(before * along * behind);
  let offset = 0;
  for (const each of inputs) {
    const width = each.shape[place] * behind;
    for (let i = 0; i < before; i += 1) {
      data.set(each.data.subarray(i * width, (i + 1) * width), i * along * behind + offset);
    }
    offset += width;
  }
  return tensor(data, shape);
}

function split(x, axis, sizes, outputs) {
  const [before, along, behind] = around(x.shape, axis);
  const found = [];
  let first = 0;
  for (let n = 0; n < outputs; n += 1) {
    const size = sizes ? sizes[n] : along / outputs;
    const data = new x.data.constructor(before * size * behind);
    for (let i = 0; i < before; i += 1) {
      const from = (i * along + first) * behind;
      data.set(x.data.subarray(from, from + size * behind), i * size * behind);
    }
    found.push(tensor(data, x.shape.map((own, at) => (at === axis ? size : own))));
    first += size;
  }
  return found;
}

function gathered(x, ids, axis) {
  const [before, along, behind] = around(x.shape, axis);
  const count = ids.data.length;
  const data = new x.data.constructor(before * count * behind);
  for (let i = 0; i < before; i += 1) {
    for (let n = 0; n < count; n += 1) {
      const id = ids.data[n] < 0 ? ids.data[n] + along : ids.data[n];
      const from = (i * along + id) * behind;
      data.set(x.data.subarray(from, from + behind), (i * count + n) * behind);
    }
  }
  return tensor(data, [...x.shape.slice(0, axis), ...ids.shape, ...x.shape.slice(axis + 1)]);
}

// Zeros behind the last axis, the only place where penstock's graphs pad.
function padded(x, pads) {
  const rank = x.shape.length;
  const [width, wide] = [x.shape[rank - 1], x.shape[rank - 1] + pads[2 * rank - 1]];
  if (pads.some((pad, i) => pad !== 0 && i !== 2 * rank - 1)) throw new Error("padding elsewhere");
  const rows = x.data.length / width;
  const data = new x.data.constructor(rows * wide);
  for (let i = 0; i < rows; i += 1) data.set(x.data.subarray(i * width, (i + 1) * width), i * wide);
  return tensor(data, [...x.shape.slice(0, -1), wide]);
}

function chosen(condition, x, y) {
  const shape = broadcastShape(broadcastShape(condition.shape, x.shape), y.shape);
  const size = sizeOf(shape);
  const data = new x.data.constructor(size);
  const [c, a, b] = [condition, x, y].map((each) =>
    each.data.length === size || each.data.length === 1 ? null : broadcastPlaces(each.shape, shape),
  );
  const at = (each, places, i) => each.data[places ? places[i] : each.data.length === 1 ? 0 : i];
  for (let i = 0; i < size; i += 1) data[i] = at(condition, c, i) ? at(x, a, i) : at(y, b, i);
  return tensor(data, shape);
}

// Time on the first axis, sentences on the second; what is behind a sentence's length stays.
function reversed(x, lengths) {
  const [time, batch, ...rest] = x.shape;
  const width = sizeOf(rest);
  const data = x.data.slice();
  for (let t = 0; t < time; t += 1) {
    for (let b = 0; b < batch; b += 1) {
      if (t >= lengths[b]) continue;
      const from = ((lengths[b] - 1 - t) * batch + b) * width;
      data.set(x.data.subarray(from, from + width), (t * batch + b) * width);
    }
  }
  return tensor(data, x.shape);
}

function normalized(x, scale, bias, epsilon) {
  const width = x.shape.at(-1);
  const data = new Float32Array(x.data.length);
  for (let from = 0; from < data.length; from += width) {
    let [sum, squares] = [0, 0];
    for (let i = 0; i < width; i += 1) {
      sum += x.data[from + i];
      squares += x.data[from + i] ** 2;
    }
    const mean = sum / width;
    const deviation = Math.sqrt(squares / width - mean * mean + epsilon);
    for (let i = 0; i < width; i += 1) {
      data[from + i] = ((x.data[from + i] - mean) / deviation) * scale[i] + bias[i];
    }
  }
  return tensor(data, x.shape);
}

function quantized(x, scale, zero) {
  const data = new Uint8Array(x.data.length);
  for (let i = 0; i < data.length; i += 1) {
    const level = roundHalfEven(round(x.data[i] / scale)) + zero;
    data[i] = level < 0 ? 0 : level > 255 ? 255 : level;
  }
  return tensor(data, x.shape);
}

// (…, M, K) times (…, K, N), with the same leading axes or none on the right.
function multiplied(x, y) {
  const [rows, inner] = x.shape.slice(-2);
  const columns = y.shape.at(-1);
  const batches = sizeOf(x.shape.slice(0, -2));
  const right = y.shape.length === 2 ? 0 : inner * columns;
  const data = new Float32Array(batches * rows * columns);
  for (let b = 0; b < batches; b += 1) {
    for (let r = 0; r < rows; r += 1) {
      const to = (b * rows + r) * columns;
      for (let k = 0; k < inner; k += 1) {
        const own = x.data[(b * rows + r) * inner + k];
        const from = b * right + k * columns;
        for (let c = 0; c < columns; c += 1) data[to + c] += own * y.data[from + c];
      }
    }
  }
  return tensor(data, [...x.shape.slice(0, -1), columns]);
}

function integerProduct([x, weight, scaleX, scales, zero, , bias], { kernel, packed }) {
  let own = packed.get(weight.data);
  if (!own) {
    own = kernel.pack(weight.data, ...weight.shape);
    packed.set(weight.data, own);
  }
  const outputs = own.outputs;
  const rows = x.data.length / own.inputs;
  const sums = kernel.multiply(own, x.data, rows, zero.data[0]);
  const data = new Float32Array(rows * outputs);
  const factor = scaleX.data[0];
  for (let r = 0, at = 0; r < rows; r += 1) {
    for (let o = 0; o < outputs; o += 1, at += 1) {
      const product = round(round(sums[at]) * round(factor * scales.data[o]));
      data[at] = bias ? product + bias.data[o] : product;
    }
  }
  return tensor(data, [...x.shape.slice(0, -1), outputs]);
}
