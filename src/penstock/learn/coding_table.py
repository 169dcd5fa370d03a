"""The Python tasks of the chapter's pages, with what must come out and what goes wrong typically.

A truth is written in another way than the task suggests where there is one: all paths in place of
dynamic programming, steps in place of a scan.
"""

from __future__ import annotations

import math
from itertools import pairwise, product

from penstock.learn.exercise import CodingTask, Said
from penstock.metrics.bleu import bleu

Numbers = list[float]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _gru(x: float, h: float, reset: Numbers, update: Numbers, candidate: Numbers) -> float:
    z = _sigmoid(update[0] * x + update[1] * h)
    r = _sigmoid(reset[0] * x + reset[1] * h)
    new = math.tanh(candidate[0] * x + candidate[1] * r * h)
    return new + z * (h - new)


def _lstm(x: float, h: float, c: float, *gates: Numbers) -> Numbers:
    i, f, o = (_sigmoid(own * x + old * h) for own, old in gates[:3])
    memory = f * c + i * math.tanh(gates[3][0] * x + gates[3][1] * h)
    return [o * math.tanh(memory), memory]


def _lstm_without_tanh(x: float, h: float, c: float, *gates: Numbers) -> Numbers:
    state, memory = _lstm(x, h, c, *gates)
    return [state / math.tanh(memory) * memory, memory]


def _clip(gradient: Numbers, threshold: float) -> Numbers:
    norm = math.hypot(*gradient)
    return [g * min(1.0, threshold / norm) if norm else g for g in gradient]


def _combine(first: Numbers, second: Numbers) -> Numbers:
    """From two states: c = f * c + b, twice, is a line again."""
    at_0, at_1 = (second[0] * (first[0] * c + first[1]) + second[1] for c in (0.0, 1.0))
    return [at_1 - at_0, at_0]


def _viterbi(
    start: Numbers, transition: list[Numbers], emission: list[Numbers], seen: list[int]
) -> list[int]:
    """The best of all paths, each tried."""

    def probability(path: tuple[int, ...]) -> float:
        p = start[path[0]]
        for before, after in pairwise(path):
            p *= transition[before][after]
        return p * math.prod(emission[s][o] for s, o in zip(path, seen, strict=True))

    return list(max(product(range(len(start)), repeat=len(seen)), key=probability))


def _viterbi_step_by_step(
    start: Numbers, transition: list[Numbers], emission: list[Numbers], seen: list[int]
) -> list[int]:
    path: list[int] = []
    for observed in seen:
        prior = transition[path[-1]] if path else start
        path.append(max(range(len(start)), key=lambda s: prior[s] * emission[s][observed]))
    return path


def _attend(
    query: Numbers, keys: list[Numbers], values: list[Numbers], mask: list[bool]
) -> Numbers:
    return _attended([_dot(query, key) if m else -math.inf for key, m in zip(keys, mask, strict=True)],
                     values)  # fmt: skip


def _dot(a: Numbers, b: Numbers) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def _attended(scores: Numbers, values: list[Numbers]) -> Numbers:
    weights = [math.exp(score - max(scores)) for score in scores]
    return [_dot(weights, list(column)) / sum(weights) for column in zip(*values, strict=True)]


def _masked_loss(losses: list[Numbers], lengths: list[int]) -> float:
    return sum(sum(row[:n]) for row, n in zip(losses, lengths, strict=True)) / sum(lengths)


def _without_clipping(prediction: str, label: str, k: int) -> float:
    p, q = prediction.split(), label.split()
    score = math.exp(min(0.0, 1 - len(q) / len(p)))
    for n in range(1, k + 1):
        grams = [p[i : i + n] for i in range(len(p) - n + 1)]
        known = [q[i : i + n] for i in range(len(q) - n + 1)]
        score *= (sum(gram in known for gram in grams) / len(grams)) ** 0.5**n
    return score


def _without_penalty(prediction: str, label: str, k: int) -> float:
    longer = len(label.split()) / len(prediction.split())
    return bleu(prediction, label, k) / math.exp(min(0.0, 1 - longer))


def _best_pair(first: Numbers, second: list[Numbers]) -> list[int]:
    pairs = product(range(len(first)), range(len(second[0])))
    return list(max(pairs, key=lambda pair: first[pair[0]] * second[pair[0]][pair[1]]))


def _greedy_pair(first: Numbers, second: list[Numbers]) -> list[int]:
    i = first.index(max(first))
    return [i, second[i].index(max(second[i]))]


_GATE = [[0.5, -0.4], [1.2, 0.3], [-0.7, 1.1]]
_CHAIN = ([0.6, 0.4], [[0.8, 0.2], [0.1, 0.9]], [[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]])
_KEYS, _VALUES = [[1.0, 0.0], [0.5, 2.0], [-1.0, 1.0]], [[1.0], [2.0], [4.0]]

CODING_TASKS = (
    CodingTask(
        "gru-step",
        "gru",
        Said(
            "Write one step of a GRU of one unit without biases. Each of `reset`, `update` and `candidate` holds "
            "the weight of the input and that of the state. Return the new state.",
            "写出只有一个单元、没有偏置的 GRU 的一步。`reset`、`update` 和 `candidate` 各含输入的权重和状态的权重。返回新的状态。",
        ),
        "def gru_step(x, h, reset, update, candidate)",
        ((1.0, 0.5, *_GATE), (-0.5, 2.0, *_GATE), (0.0, -1.0, *_GATE)),
        _gru,
        (
            (lambda x, h, r, z, n: _gru(x, h, r, [-z[0], -z[1]], n),
             Said("Your update gate works the other way round: in the book, 1 keeps the old state.",
                  "你的更新门方向反了：书中 1 表示保留旧状态。")),
            (lambda x, h, r, z, n: _gru(x, h, [0.0, 0.0], z, [n[0], 2 * n[1]]),
             Said("The reset gate is missing: it multiplies the state inside the candidate.",
                  "缺了重置门：它在候选状态里乘以旧状态。")),
        ),
    ),
    CodingTask(
        "lstm-step",
        "lstm",
        Said(
            "Write one step of an LSTM of one unit without biases. `i`, `f`, `o` and `g` (the candidate) each hold "
            "the weight of the input and that of the state. Return `[h, c]`.",
            "写出只有一个单元、没有偏置的 LSTM 的一步。`i`、`f`、`o` 和 `g`（候选记忆）各含输入的权重和状态的权重。返回 `[h, c]`。",
        ),
        "def lstm_step(x, h, c, i, f, o, g)",
        ((1.0, 0.5, 2.0, *_GATE, [0.9, -0.2]), (-0.3, 0.1, -1.0, *_GATE, [0.9, -0.2])),
        _lstm,
        (
            (_lstm_without_tanh,
             Said("The output gate opens on tanh(c), not on c itself.", "输出门作用于 tanh(c)，而不是 c 本身。")),
            (lambda x, h, c, i, f, o, g: _lstm(x, h, c, f, i, o, g),
             Said("Input gate and forget gate are exchanged: f keeps the old cell, i lets the candidate in.",
                  "输入门和遗忘门互换了：f 保留旧记忆元，i 让候选记忆进来。")),
        ),
    ),
    CodingTask(
        "clip-gradient",
        "long-dependencies",
        Said(
            "Clip a gradient (a list) to a norm of at most `threshold`, as the book does. Return the list.",
            "按书中的做法裁剪梯度（列表），使其范数不超过 `threshold`。返回列表。",
        ),
        "def clip_gradient(gradient, threshold)",
        (([3.0, 4.0], 1.0), ([0.3, -0.4], 1.0), ([-6.0, 0.5, 2.0], 2.0), ([0.0, 0.0], 1.0)),
        _clip,
        (
            (lambda gradient, threshold: [max(-threshold, min(threshold, g)) for g in gradient],
             Said("You clip each number by itself, which changes the gradient's direction. Scale all of it.",
                  "你逐个裁剪，这会改变梯度的方向。应当整体缩放。")),
            (lambda gradient, threshold: [g * threshold / (math.hypot(*gradient) or 1) for g in gradient],
             Said("A gradient that is short enough stays as it is.", "足够短的梯度应保持不变。")),
        ),
    ),
    CodingTask(
        "combine-steps",
        "parallel",
        Said(
            "A step c → f·c + b is the pair `[f, b]`. Return the pair of two steps, `first` and then `second`. A "
            "scan is made of this.",
            "一步 c → f·c + b 记作 `[f, b]`。返回先 `first` 后 `second` 两步合成的一对。扫描就由它构成。",
        ),
        "def combine(first, second)",
        (([0.5, 1.0], [0.25, -2.0]), ([0.9, 0.0], [0.0, 3.0]), ([0.0, 2.0], [0.5, 1.0])),
        _combine,
        (
            (lambda first, second: _combine(second, first),
             Said("That is second and then first: the later factor also scales the earlier addend.",
                  "那是先 second 后 first：后一步的因子也要乘以前一步的加数。")),
            (lambda first, second: [first[0] * second[0], first[1] + second[1]],
             Said("The second step scales what the first has added.", "第二步会缩放第一步加上的量。")),
        ),
    ),
    CodingTask(
        "perplexity",
        "language-models",
        Said(
            "Return the perplexity of a text whose tokens had these probabilities.",
            "给定文本中各词元的概率，返回困惑度。",
        ),
        "def perplexity(probabilities)",
        (([0.5, 0.25, 0.125, 0.125],), ([0.1, 0.9],), ([1.0],)),
        lambda p: math.prod(p) ** (-1 / len(p)),
        (
            (lambda p: sum(1 / x for x in p) / len(p),
             Said("You average 1/p. Average −log p, then take the exponential.",
                  "你对 1/p 求了平均。应先对 −log p 求平均，再取指数。")),
            (lambda p: -sum(math.log(x) for x in p) / len(p),
             Said("That is the cross-entropy; the perplexity is its exponential.",
                  "那是交叉熵；困惑度是它的指数。")),
        ),
    ),
    CodingTask(
        "viterbi",
        "hidden-markov",
        Said(
            "Return the likeliest sequence of states (numbers from 0) for the observations `seen`. "
            "`transition[a][b]` is the probability of b after a, `emission[a][o]` that a emits o.",
            "返回观测 `seen` 最可能的状态序列（从 0 起编号）。`transition[a][b]` 是 a 之后为 b 的概率，`emission[a][o]` 是 a 发出 o 的概率。",
        ),
        "def viterbi(start, transition, emission, seen)",
        ((*_CHAIN, [0, 2, 0]), (*_CHAIN, [1, 1, 2]), (*_CHAIN, [1, 2, 1, 0]), (*_CHAIN, [1])),
        _viterbi,
        (
            (_viterbi_step_by_step,
             Said("You choose the best state at each step and never look back. Keep the best path into each state.",
                  "你每一步都选当时最好的状态，从不回头。要为每个状态保留到达它的最优路径。")),
            (lambda start, transition, emission, seen: [
                max(range(len(start)), key=lambda s: emission[s][o]) for o in seen],
             Said("You look at the emissions alone; the transitions count too.",
                  "你只看了发射概率；转移概率也要算。")),
        ),
    ),
    CodingTask(
        "reverse-rows",
        "bidirectional",
        Said(
            "The backward direction must not read padding first. Reverse each row within its length; what stands "
            "behind it stays.",
            "反向不能先读到填充。把每一行在其有效长度之内反转；后面的部分不动。",
        ),
        "def reverse_rows(rows, lengths)",
        (([[1, 2, 3], [4, 5, 0]], [3, 2]), ([[7, 0, 0]], [1])),
        lambda rows, lengths: [
            [row[n - 1 - i] if i < n else x for i, x in enumerate(row)]
            for row, n in zip(rows, lengths, strict=True)
        ],
        (
            (lambda rows, lengths: [row[::-1] for row in rows],
             Said("You reverse the padding too, so that it comes first.", "你把填充也反转了，它跑到了最前面。")),
        ),
    ),
    CodingTask(
        "truncate-or-pad",
        "translation-data",
        Said(
            "Return `ids` at exactly `length`: the end cut off, or filled with `pad`.",
            "返回长度恰为 `length` 的 `ids`：截去末尾，或用 `pad` 填充。",
        ),
        "def truncate_or_pad(ids, length, pad)",
        (([4, 5, 6], 5, 0), ([4, 5, 6], 2, 0), ([4, 5], 2, 1), ([], 2, 1)),
        lambda ids, length, pad: [ids[i] if i < len(ids) else pad for i in range(length)],
        (
            (lambda ids, length, pad: [pad] * (length - len(ids)) + ids[:length],
             Said("Padding stands at the end, so that position 0 is the first token.",
                  "填充放在末尾，这样第 0 个位置才是第一个词元。")),
            (lambda ids, length, pad: ids + [pad] * (length - len(ids)),
             Said("A longer sequence must be cut.", "更长的序列要截断。")),
        ),
    ),
    CodingTask(
        "teacher-forcing",
        "encoder-decoder",
        Said(
            "Return `[read, predicted]`: what the decoder reads in training, and what it must predict at the same "
            "positions.",
            "返回 `[read, predicted]`：训练时解码器读入的序列，以及它在同样位置上必须预测的序列。",
        ),
        "def teacher_forcing(target, bos, eos)",
        (([7, 8, 9], 1, 2), ([], 1, 2)),
        lambda target, bos, eos: [[bos, *target], [*target, eos]],
        (
            (lambda target, bos, eos: [[bos, *target, eos], [bos, *target, eos]],
             Said("The decoder would see what it must predict: shift by one.",
                  "这样解码器会看到它要预测的东西：要错开一位。")),
            (lambda target, bos, eos: [[bos, *target[:-1]], target],
             Said("It must also learn when to end: the last thing predicted is eos.",
                  "它还要学会何时结束：最后要预测的是 eos。")),
        ),
    ),
    CodingTask(
        "masked-loss",
        "seq2seq",
        Said(
            "`losses` has a row for each sentence, with a loss for each position, `lengths` the numbers of real "
            "tokens. Return the mean loss of a real token.",
            "`losses` 每句一行，每个位置一个损失；`lengths` 是真实词元的个数。返回每个真实词元的平均损失。",
        ),
        "def masked_loss(losses, lengths)",
        (([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]], [2, 3]), ([[2.0, 7.0]], [1])),
        _masked_loss,
        (
            (lambda losses, lengths: sum(map(sum, losses)) / sum(map(len, losses)),
             Said("The padding counts too: leave out what stands behind each length.",
                  "填充也被算进去了：长度之后的要去掉。")),
            (lambda losses, lengths: _masked_loss(losses, lengths) * sum(lengths)
             / sum(map(len, losses)),
             Said("The sum is right; divide it by the number of real tokens.",
                  "和是对的；要除以真实词元的个数。")),
            (lambda losses, lengths: sum(
                sum(row[:n]) / n for row, n in zip(losses, lengths, strict=True)) / len(losses),
             Said("That is a mean of sentences: tokens of short ones weigh more.",
                  "那是对句子求平均：短句的词元分量更重。")),
        ),
    ),
    CodingTask(
        "attend",
        "attention",
        Said(
            "Return the mean of the values, weighted by the softmax of the products of query and keys. `mask` is "
            "true where a position is real.",
            "返回各值的加权平均，权重是查询与键的点积的 softmax。`mask` 为真的位置才是真实的。",
        ),
        "def attend(query, keys, values, mask)",
        (([1.0, 0.5], _KEYS, _VALUES, [True, True, True]), ([1.0, 0.5], _KEYS, _VALUES, [True, True, False]),
         ([0.0, -3.0], _KEYS, _VALUES, [False, True, True])),
        _attend,
        (
            (lambda query, keys, values, mask: _attended(
                [_dot(query, key) * m for key, m in zip(keys, mask, strict=True)], values),
             Said("A masked score must be −∞; a score of 0 still gets weight.",
                  "被遮盖的得分要设为 −∞；得分 0 仍有权重。")),
            (lambda query, keys, values, mask: _attended([_dot(query, key) for key in keys], values),
             Said("Masked positions get weight too.", "被遮盖的位置也得到了权重。")),
        ),
    ),
    CodingTask(
        "bleu",
        "bleu",
        Said(
            "Return the chapter's BLEU of a prediction, texts of words between spaces, with n-grams up to k. Neither "
            "is shorter than k.",
            "返回书中定义的 BLEU；文本以空格分词，n 元语法最长为 k。两段文本都不短于 k。",
        ),
        "def bleu(prediction, label, k)",
        (("A B B C D", "A B C D E F", 2), ("A A A", "A B", 1), ("A B C D", "A B C D", 2)),
        bleu,
        (
            (_without_clipping,
             Said("Each n-gram of the label matches once only: B twice needs two in the label.",
                  "标签中的每个 n 元语法只能匹配一次：出现两次的 B 要标签里也有两个。")),
            (_without_penalty,
             Said("A prediction shorter than its label is penalized: exp(1 − length of label / length of prediction).",
                  "比标签短的预测要受罚：exp(1 − 标签长度 / 预测长度)。")),
        ),
    ),
    CodingTask(
        "best-pair",
        "search",
        Said(
            "`first[i]` is the probability of token i, `second[i][j]` that of j after i. Return `[i, j]`, the "
            "likeliest two tokens.",
            "`first[i]` 是词元 i 的概率，`second[i][j]` 是 i 之后为 j 的概率。返回最可能的两个词元 `[i, j]`。",
        ),
        "def best_pair(first, second)",
        (([0.6, 0.4], [[0.55, 0.45], [0.9, 0.1]]), ([0.9, 0.1], [[0.3, 0.7], [0.5, 0.5]])),
        _best_pair,
        (
            (_greedy_pair,
             Said("That is greedy: a less likely first token may have a far likelier second one.",
                  "那是贪心：不太可能的第一个词元之后也许有可能得多的第二个。")),
        ),
    ),
)  # fmt: skip
