// The calibrated probability that an output is exactly right: penstock's metrics/confidence.py.

const LEAST = -50; // log-probabilities further from 0 say nothing more
const MOST_MARGIN = 20;

// The features of a hypothesis; without the last where it has no margin.
function featuresOf({ logProbabilities, finished, margin }) {
  const total = Math.max(logProbabilities.reduce((sum, each) => sum + each, 0), LEAST);
  const count = logProbabilities.length;
  const lowest = Math.max(Math.min(...logProbabilities), LEAST);
  const features = [total, total / count, lowest, Math.log(count), finished ? 1 : 0];
  if (margin !== null) features.push(Math.max(Math.min(margin, MOST_MARGIN), -MOST_MARGIN));
  return features;
}

function calibrated(fitted, features) {
  const own = fitted.find(({ weights }) => weights.length === features.length) ?? fitted.at(-1);
  const { means, scales, weights, bias } = own;
  const logit = weights.reduce((sum, w, i) => sum + (w * (features[i] - means[i])) / scales[i], bias);
  return 1 / (1 + Math.exp(-logit));
}

// Of a line's outputs, one for each segment; `fitted` as in a bundle, or null.
export function surenessOf(fitted, best) {
  if (!fitted || !best.length) return { confidence: null, expected_chrf: null };
  const features = best.map(featuresOf);
  const chrfs = features.map((each) => (fitted.chrf.length ? 100 * calibrated(fitted.chrf, each) : 0));
  return {
    confidence: features.reduce((product, each) => product * calibrated(fitted.right, each), 1),
    expected_chrf: chrfs.reduce((sum, each) => sum + each, 0) / best.length,
  };
}
