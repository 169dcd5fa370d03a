#!/bin/sh
# Checks and speed on one GPU, unattended; ends with one line per measurement.
#
#   benchmarks/gpu.sh [FOLDER OF MULTI30K]
#
# Without the folder the whole training and the translation are left out, and said to be.
set -u
cd "$(dirname "$0")/.." || exit 1
data=${1:-}
report=$(mktemp)
PYTHON=${PYTHON:-python}

$PYTHON -c 'import sys
try:
    import torch
except ImportError:
    sys.exit("gpu.sh: no torch here; set PYTHON to a Python that has it")
if not torch.cuda.is_available():
    sys.exit("gpu.sh: no CUDA device here")
print(torch.cuda.get_device_name(), torch.__version__)' || exit 1

line() { printf '%s\t%s\n' "$1" "$2" >>"$report"; }

# NAME, then arguments of `bench train`
training() {
    name=$1
    shift
    if json=$(timeout 60 $PYTHON -m penstock bench train --device cuda --rounds 3 --json "$@"); then
        line "$name" "$(printf '%s' "$json" | $PYTHON -c 'import json, sys
s = json.load(sys.stdin)
print("%d tokens/s, kernels busy %d%%, %.2f of the bf16 limit"
      % (s["tokens_per_second"], 100 * s["busy"], s["ratio_bf16"]))')"
    else
        line "$name" failed
    fi
}

# RUN: time to translate 10,000 lines
translating() {
    text=$(mktemp)
    $PYTHON -c 'for i in range(10000): print("Ein Hund und", i % 97, "Kinder im Park.")' >"$text"
    begin=$(date +%s)
    if timeout 60 $PYTHON -m penstock translate -m "$1" --device cuda --engine torch --batch 512 \
        -i "$text" >/dev/null; then
        line "beam 5, batch 512, 10000 lines" "$(($(date +%s) - begin)) s, start included"
    else
        line "beam 5, batch 512, 10000 lines" "failed or longer than 60 s"
    fi
    rm -f "$text"
}

if timeout 120 $PYTHON -m pytest -q -m gpu tests/training/test_gpu.py; then
    line "tests of the marker gpu" passed
else
    line "tests of the marker gpu" FAILED
fi
for tokens in 400 4000 25000 100000; do
    training "11 M LSTM, $tokens target tokens" --cell lstm --batch-tokens $tokens
done
training "132 M LSTM, 100000 target tokens" --cell lstm --batch-tokens 100000 --vocab-size 32000 \
    --set model.hidden_size=1024 --set model.embedding_size=1024 \
    --set model.encoder_layers=4 --set model.decoder_layers=4

if [ -n "$data" ]; then
    run=$(mktemp -d)/run
    begin=$(date +%s)
    if timeout 150 $PYTHON -m penstock train examples/multi30k-de-en.toml --out "$run" \
        --set device=cuda --set "data.train=[\"$data/train.de.gz\", \"$data/train.en.gz\"]" \
        --set "data.valid=[\"$data/val.de.gz\", \"$data/val.en.gz\"]"; then
        spent=$(($(date +%s) - begin))
        bleu=$($PYTHON -m penstock evaluate -m "$run" --device cuda --engine torch \
            "$data/test_2016_flickr.de.gz" "$data/test_2016_flickr.en.gz" --metrics bleu)
        line "examples/multi30k-de-en.toml" "$spent s, test_2016_flickr: $bleu"
        translating "$run"
    else
        line "examples/multi30k-de-en.toml" "failed or longer than 150 s"
    fi
else
    line "examples/multi30k-de-en.toml, and translation" "left out: no folder given"
fi
cat "$report"
