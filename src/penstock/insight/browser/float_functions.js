// Functions of float32 numbers, as ONNX Runtime approximates them: a quantized activation that came
// out differently here could change a translation.
//
// The polynomials are those of MLAS (github.com/microsoft/onnxruntime, core/mlas/lib). A product of
// two float32 numbers is exact in a double, so rounding after the sum is a fused multiply-add.

import { tensor } from "./tensor.js";

export const round = Math.fround;
const single = (...numbers) => numbers.map(round);

const TANH_ABOVE = single(
  -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-8,
  1.48572235717979e-5, 6.37261928875436e-4, 4.89352455891786e-3,
);
const TANH_BELOW = single(
  1.19825839466702e-6, 1.18534705686654e-4, 2.26843463243900e-3, 4.89352518554385e-3,
);
const LOGISTIC_ABOVE = single(
  4.37031012579801e-11, 1.15627324459942e-7, 6.08574864600143e-5, 8.51377133304701e-3,
  2.48287947061529e-1,
);
const LOGISTIC_BELOW = single(
  6.10247389755681e-13, 5.76102136993427e-9, 6.29106785017040e-6, 1.70198817374094e-3,
  1.16817656904453e-1, 9.93151921023180e-1,
);

function polynomial(coefficients, x) {
  let sum = coefficients[0];
  for (let i = 1; i < coefficients.length; i += 1) sum = round(sum * x + coefficients[i]);
  return sum;
}

function rational(above, below, x) {
  const square = round(x * x);
  return round(round(x * polynomial(above, square)) / polynomial(below, square));
}

export function tanh(x) {
  return rational(TANH_ABOVE, TANH_BELOW, Math.min(9, Math.max(-9, x)));
}

export function logistic(x) {
  const share = rational(LOGISTIC_ABOVE, LOGISTIC_BELOW, Math.min(18, Math.max(-18, x)));
  return Math.min(1, Math.max(0, round(share + 0.5)));
}

const MAGIC = 1.5 * 2 ** 52; // doubles around it are whole numbers

export function roundHalfEven(x) {
  return x + MAGIC - MAGIC;
}

// Softmax over the last axis, or its logarithm.
export function softmaxRows(x, logarithm) {
  const width = x.shape.at(-1);
  const data = new Float32Array(x.data.length);
  for (let from = 0; from < data.length; from += width) {
    let most = -Infinity;
    for (let i = from; i < from + width; i += 1) if (x.data[i] > most) most = x.data[i];
    let sum = 0;
    for (let i = from; i < from + width; i += 1) sum += data[i] = Math.exp(round(x.data[i] - most));
    if (logarithm) {
      const shift = round(Math.log(sum));
      for (let i = from; i < from + width; i += 1) data[i] = round(x.data[i] - most) - shift;
    } else {
      for (let i = from; i < from + width; i += 1) data[i] /= sum;
    }
  }
  return tensor(data, x.shape);
}
