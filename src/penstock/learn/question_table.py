"""The questions of the chapter's pages. A test computes each answer in another way."""

from __future__ import annotations

from penstock.learn.exercise import Question, Said

QUESTIONS = (
    Question(
        "gru-kept",
        "gru",
        Said(
            "A unit's state is 1, its update gate 0.8 and its candidate 0 at every step. What is its state "
            "after 3 steps?",
            "某单元的状态为 1，每一步更新门都是 0.8，候选状态都是 0。3 步之后状态是多少？",
        ),
        0.512,
        Said("Each step keeps 0.8 of the state: 0.8³.", "每一步保留状态的 0.8：0.8³。"),
        (
            (0.008, Said("That is 0.2³: you gave the update gate to the candidate. In the book, 1 keeps.",
                         "这是 0.2³：你把更新门给了候选状态。书中 1 表示保留。")),
            (0.8, Said("That is the state after one step.", "这是一步之后的状态。")),
        ),
    ),
    Question(
        "gate-half",
        "gate-extremes",
        Said(
            "With an update gate of 0.9, after how many steps has less than half of the old state remained?",
            "更新门为 0.9 时，多少步之后旧状态剩下不到一半？",
        ),
        7,
        Said("0.9⁶ = 0.53, 0.9⁷ = 0.48.", "0.9⁶ = 0.53，0.9⁷ = 0.48。"),
        (
            (5, Said("A tenth of what is left goes at each step, not a tenth of the beginning.",
                     "每一步失去的是剩余部分的十分之一，而不是最初的十分之一。")),
            (6, Said("After 6 steps 0.9⁶ = 0.53 is left, still more than half.",
                     "6 步之后还剩 0.9⁶ = 0.53，仍多于一半。")),
        ),
    ),
    Question(
        "gate-forget",
        "gate-extremes",
        Said(
            "Both gates of a GRU are 0, the state is 0.7, the input 0, and there is no bias. What is the next "
            "state?",
            "GRU 的两个门都是 0，状态为 0.7，输入为 0，没有偏置。下一个状态是多少？",
        ),
        0,
        Said("The candidate sees neither state nor input, tanh(0) = 0, and replaces the state.",
             "候选状态既看不到状态也看不到输入，tanh(0) = 0，并取代旧状态。"),
        ((0.7, Said("That would be an update gate of 1, which keeps the state.",
                    "那是更新门为 1 的情形：状态得以保留。")),),
    ),
    Question(
        "lstm-counter",
        "lstm",
        Said(
            "All three gates of an LSTM are 1 and the candidate is 0.5 at every step. The cell starts at 0. What "
            "is the cell after 4 steps?",
            "LSTM 的三个门都是 1，候选记忆每一步都是 0.5，记忆元从 0 开始。4 步之后记忆元是多少？",
        ),
        2,
        Said("It keeps all and adds 0.5 each time: a counter. A tanh bounds the hidden state only.",
             "它全部保留，每次再加 0.5：一个计数器。tanh 只限制隐状态。"),
        (
            (0.964, Said("That is the hidden state, tanh(2). The cell itself has no bound.",
                         "那是隐状态 tanh(2)。记忆元本身没有界。")),
            (0.5, Said("A forget gate of 1 keeps the cell, so that the candidates add up.",
                       "遗忘门为 1 会保留记忆元，候选记忆于是累加起来。")),
        ),
    ),
    Question(
        "deep-weights",
        "deep",
        Said(
            "A GRU of 2 layers reads embeddings of 32 and has 64 units a layer. torch gives each layer two biases. "
            "How many weights does the second layer have?",
            "一个两层的 GRU 读入 32 维嵌入，每层 64 个单元。torch 给每层两个偏置。第二层有多少个权重？",
        ),
        24_960,
        Said("3 blocks of 64 × 64 for its input, the layer below, 64 × 64 for its state, and 2 × 64.",
             "三块，每块 64 × 64（输入来自下一层）、64 × 64（状态）和 2 × 64。"),
        (
            (18_816, Said("That is the first layer, which reads embeddings. The second reads 64 numbers.",
                          "那是读嵌入的第一层。第二层读入 64 个数。")),
            (24_768, Said("That is with one bias only.", "那只算了一个偏置。")),
        ),
    ),
    Question(
        "deep-depends",
        "deep",
        Said(
            "In a network of 2 layers, how many other hidden states does that of layer 2 at step 3 depend on? The "
            "initial states do not count.",
            "在两层网络中，第 2 层第 3 步的隐状态依赖于多少个其他隐状态？初始状态不算。",
        ),
        5,
        Said("Three of layer 1 and two of layer 2: everything below and before it.",
             "第 1 层的三个和第 2 层的两个：它下方和之前的全部。"),
        (
            (2, Said("Those are the two it reads directly. They depend on others.",
                     "那是它直接读取的两个，而它们又依赖别的状态。")),
            (6, Said("One too many: the state itself does not count.", "多了一个：它自己不算。")),
        ),
    ),
    Question(
        "lag-gradient",
        "long-dependencies",
        Said(
            "A gradient shrinks to 0.9 of its norm at each step back. What is left of a norm of 1 after 20 steps?",
            "梯度每往回传一步，范数就缩小到 0.9 倍。范数 1 传 20 步之后剩多少？",
        ),
        0.9**20,
        Said("0.9²⁰ = 0.122.", "0.9²⁰ = 0.122。"),
        (
            (-1, Said("A tenth of what is left goes at each step: the factors multiply.", "每一步失去的是剩余部分的十分之一：因子相乘。")),
            (0.135, Said("That is 0.9¹⁹, one step too few.", "那是 0.9¹⁹，少了一步。")),
        ),
    ),
    Question(
        "scan-rounds",
        "parallel",
        Said(
            "A scan combines all positions by doubling: in each round every position takes in the result as far "
            "back as it already reaches. How many rounds do 1,024 positions need?",
            "扫描用倍增的办法合并所有位置：每一轮，每个位置都并入恰好接在它已覆盖范围之前的结果。1,024 个位置要多少轮？",
        ),
        10,
        Said("2¹⁰ = 1,024; a loop takes 1,024 steps one after another.",
             "2¹⁰ = 1,024；循环则要一个接一个地走 1,024 步。"),
        (
            (1024, Said("That is the loop. The reach doubles in each round.", "那是循环。覆盖范围每轮翻倍。")),
            (512, Said("The reach doubles in each round; it does not grow by two.",
                       "覆盖范围每轮翻倍，而不是加二。")),
        ),
    ),
    Question(
        "perplexity-text",
        "language-models",
        Said(
            "A model gives the four characters of a text the probabilities 1/2, 1/4, 1/8 and 1/8. What is its "
            "perplexity?",
            "模型给一段文本的四个字符的概率分别是 1/2、1/4、1/8 和 1/8。困惑度是多少？",
        ),
        2**2.25,
        Said("The mean of −log₂ p is 2.25 bits, and 2^2.25 = 4.757.",
             "−log₂ p 的平均值是 2.25 比特，2^2.25 = 4.757。"),
        (
            (5.5, Said("That is the mean of 1/p. Perplexity is their geometric mean.",
                       "那是 1/p 的算术平均。困惑度是几何平均。")),
            (4, Said("That is 1 over the mean probability. Average the logarithms.",
                     "那是平均概率的倒数。应当对对数求平均。")),
            (2.25, Said("That is the cross-entropy in bits; perplexity is 2 to its power.",
                        "那是以比特计的交叉熵；困惑度是 2 的这么多次方。")),
        ),
    ),
    Question(
        "hmm-evidence",
        "hidden-markov",
        Said(
            "Two states, equally likely at first, are kept with probability 0.8. State 1 emits A with 0.9, state 2 "
            "with 0.1. What is the probability of observing A, A?",
            "两个状态，开始时等可能，每步以 0.8 的概率保持不变。状态 1 以 0.9 的概率发出 A，状态 2 以 0.1。观测到 A、A 的概率是多少？",
        ),
        0.346,
        Said("The sum over the four paths: 0.324 + 0.009 + 0.009 + 0.004.",
             "四条路径之和：0.324 + 0.009 + 0.009 + 0.004。"),
        (
            (0.324, Said("That is the best path alone. The other three count too.",
                         "那只是最优路径。另外三条也要算。")),
            (0.25, Said("That takes the two observations as independent.", "那是把两次观测当作独立。")),
        ),
    ),
    Question(
        "two-directions",
        "bidirectional",
        Said(
            "A bidirectional LSTM has 128 units in each direction. How many numbers does its output have at a "
            "position?",
            "双向 LSTM 每个方向有 128 个单元。它在一个位置上的输出有多少个数？",
        ),
        256,
        Said("The hidden states of both directions, side by side.", "两个方向的隐状态并排放在一起。"),
        (
            (128, Said("Both directions are kept side by side, not added.", "两个方向是拼接，不是相加。")),
            (512, Said("The cells are not part of the output.", "记忆元不属于输出。")),
        ),
    ),
    Question(
        "vocabulary",
        "translation-data",
        Said(
            "Words must occur at least twice to get a number. The text is 'a b a c b a'. How many entries does the "
            "vocabulary have with pad, bos, eos and unk?",
            "词至少出现两次才有编号。文本是“a b a c b a”。加上 pad、bos、eos 和 unk，词表有多少项？",
        ),
        6,
        Said("a and b, and the four special ones; c becomes unk.", "a 和 b，加四个特殊词元；c 变成 unk。"),
        (
            (7, Said("c occurs once only and becomes unk.", "c 只出现一次，变成 unk。")),
            (2, Said("The special tokens have numbers too.", "特殊词元也有编号。")),
        ),
    ),
    Question(
        "decoder-steps",
        "encoder-decoder",
        Said(
            "A target has 5 tokens, eos not counted. How many steps does the decoder take in training?",
            "目标序列有 5 个词元，eos 不算在内。训练时解码器走多少步？",
        ),
        6,
        Said("It reads bos and the 5 tokens, and predicts the 5 tokens and eos.",
             "它读入 bos 和 5 个词元，预测 5 个词元和 eos。"),
        (
            (5, Said("It must also learn to end: eos is predicted too.", "它还要学会结束：eos 也要预测。")),
            (7, Said("bos is read, never predicted; eos is predicted, never read.",
                     "bos 只读不预测；eos 只预测不读。")),
        ),
    ),
    Question(
        "masked-mean",
        "seq2seq",
        Said(
            "Two targets of 3 and 5 tokens are padded to 5. The losses of the real tokens sum to 12. What is the "
            "mean loss of a token?",
            "两个目标序列分别有 3 个和 5 个词元，填充到 5。真实词元的损失之和为 12。每个词元的平均损失是多少？",
        ),
        1.5,
        Said("12 over 8 real tokens.", "12 除以 8 个真实词元。"),
        (
            (1.2, Said("That is over 10 positions: padding would make the loss look smaller.",
                       "那是除以 10 个位置：填充会让损失显得更小。")),
            (6, Said("That is a mean over sentences, so long ones weigh more.",
                     "那是对句子求平均，长句的分量更重。")),
        ),
    ),
    Question(
        "attention-weight",
        "attention",
        Said(
            "Two positions have the scores 0 and ln 3. What weight does the second get?",
            "两个位置的得分是 0 和 ln 3。第二个位置得到多大的权重？",
        ),
        0.75,
        Said("The softmax of the scores: 3 / (1 + 3).", "得分的 softmax：3 / (1 + 3)。"),
        (
            (1, Said("Softmax gives every position something; only a masked one gets 0.",
                     "softmax 给每个位置一些权重；只有被遮盖的才是 0。")),
            (3, Said("Weights sum to 1: divide by the sum of the exponentials.",
                     "权重之和为 1：要除以各指数之和。")),
        ),
    ),
    Question(
        "bleu-short",
        "bleu",
        Said(
            "The label is A B C D E F, the prediction A B B C D. What is the chapter's BLEU with n-grams up to 2?",
            "标签是 A B C D E F，预测是 A B B C D。n 元语法最长取 2，书中的 BLEU 是多少？",
        ),
        0.6815,
        Said("exp(1 − 6/5) · (4/5)^(1/2) · (3/4)^(1/4).", "exp(1 − 6/5) · (4/5)^(1/2) · (3/4)^(1/4)。"),
        (
            (0.8324, Said("The prediction is shorter than the label: multiply by exp(1 − 6/5).",
                          "预测比标签短：要乘以 exp(1 − 6/5)。")),
            (0.6342, Said("Both exponents are 1/2 there; the book's are 1/2 and 1/4.",
                          "这里两个指数都取了 1/2；书中是 1/2 和 1/4。")),
            (0.762, Said("B occurs twice in the prediction but once in the label: it matches once.",
                         "B 在预测中出现两次，在标签中只有一次：只算一次匹配。")),
        ),
    ),
    Question(
        "beam-work",
        "search",
        Said(
            "A vocabulary has 10 tokens. How many candidates does a beam of 3 compare at a step after the first?",
            "词表有 10 个词元。束宽为 3，第一步之后的每一步要比较多少个候选？",
        ),
        30,
        Said("Each of the 3 hypotheses goes on with each of the 10 tokens.",
             "3 个假设各与 10 个词元接续。"),
        (
            (10, Said("That is greedy search, a beam of 1.", "那是贪心搜索，即束宽 1。")),
            (3, Said("Those are the ones it keeps of what it compared.", "那是比较之后留下的。")),
            (1000, Said("That is exhaustive search over three tokens.", "那是对三个词元的穷举搜索。")),
        ),
    ),
    Question(
        "frozen-weights",
        "pretrained",
        Said(
            "10,000 frozen vectors of 300 numbers go through one trained layer with bias to 256 numbers. How many "
            "weights are trained?",
            "10,000 个冻结的 300 维向量经过一个带偏置的可训练层变成 256 维。训练多少个权重？",
        ),
        77_056,
        Said("300 × 256 + 256; the vectors stay as they are.", "300 × 256 + 256；向量保持不变。"),
        (
            (76_800, Said("The bias has 256 more.", "偏置还有 256 个。")),
            (3_077_056, Said("The vectors are frozen: they are not trained.", "向量是冻结的，不参与训练。")),
        ),
    ),
    Question(
        "frozen-steps",
        "pretrained",
        Said(
            "A word is not among the pretrained vectors and its vector starts at 0. The vectors are frozen. What "
            "is its first number after 1,000 updates?",
            "某个词不在预训练向量之中，它的向量从 0 开始。向量是冻结的。1,000 次更新之后，它的第一个数是多少？",
        ),
        0,
        Said("What is frozen gets no updates, so all such words stay the same.",
             "冻结的不会更新，所以这样的词全都一样。"),
        ((1000, Said("Updates change what is trained; this vector is frozen.",
                     "更新只改变参与训练的部分；这个向量是冻结的。")),),
    ),
)  # fmt: skip
