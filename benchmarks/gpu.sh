#!/bin/sh
# Checks and speed on one GPU, unattended, in at most 8 minutes; ends with one line per row of the
# table 'On a GPU' in docs/benchmarks.md.
#
#   benchmarks/gpu.sh [FOLDER OF MULTI30K]
#
# Without the folder the last row is left out, and said to be. Without CUDA it ends at once, with
# status 1; it also ends with 1 if a row failed.
set -u
cd "$(dirname "$0")/.." || exit 1
data=${1:-}
work=$(mktemp -d)
report=$work/report
status=0
trap 'rm -rf "$work"' EXIT
PYTHON=${PYTHON:-python}

$PYTHON -c 'import sys
try:
    import torch
except ImportError:
    sys.exit("gpu.sh: no torch here; set PYTHON to a Python that has it")
if not torch.cuda.is_available():
    sys.exit("gpu.sh: no CUDA device here")
print(torch.cuda.get_device_name(), "torch", torch.__version__)' || exit 1

line() { printf '%s\t%s\n' "$1" "$2" >>"$report"; }

failed() {
    line "$1" "$2"
    status=1
}

# NAME, seconds at most, then arguments of `bench train`
training() {
    name=$1
    most=$2
    shift 2
    if timeout "$most" $PYTHON -m penstock bench train --device cuda --rounds 3 --json "$@" >"$work/json"; then
        line "$name" "$($PYTHON -c 'import json, sys
s = json.load(sys.stdin)
print("{:,.0f} tokens/s, kernels busy {:.0%}, {:.2f} of the bf16 limit, {} of {:.0f} M parameters".format(
    s["tokens_per_second"], s["busy"], s["ratio_bf16"], s["precision"], s["parameters"] / 1e6))' <"$work/json")"
    else
        failed "$name" "failed, or longer than $most s"
    fi
}

if timeout 100 $PYTHON -m pytest -q -p no:cacheprovider -m gpu tests/training/test_gpu.py tests/runtime/test_torch_beam.py; then
    line "tests of the marker gpu" passed
else
    failed "tests of the marker gpu" FAILED
fi
for tokens in 400 4000 25000 100000; do
    training "11 M LSTM, $tokens target tokens" 30 --cell lstm --batch-tokens $tokens
done
training "132 M LSTM, 100000 target tokens" 45 --cell lstm --batch-tokens 100000 --vocab-size 32000 \
    --set model.hidden_size=1024 --set model.embedding_size=1024 \
    --set model.encoder_layers=4 --set model.decoder_layers=4
training "11 M SSRU, 4000 target tokens" 30 --cell ssru --batch-tokens 4000

name="beam 5, batch 512, 10000 lines"
if timeout 45 $PYTHON -m penstock bench translate --device cuda --batch 512 --sentences 10000 --json >"$work/json"; then
    line "$name" "$($PYTHON -c 'import json, sys
for s in json.load(sys.stdin)["rows"]:
    print("{search} {sentences_per_second:,.0f} sentences/s, kernels busy {busy:.0%}".format(**s), end="; ")' <"$work/json")"
else
    failed "$name" "failed, or longer than 45 s"
fi

name="examples/multi30k-de-en.toml, seconds to BLEU 37 on test_2016_flickr"
if [ -n "$data" ]; then
    begin=$(date +%s)
    if timeout 110 $PYTHON -m penstock train examples/multi30k-de-en.toml --out "$work/run" \
        --set device=cuda --set "data.train=[\"$data/train.de.gz\", \"$data/train.en.gz\"]" \
        --set "data.valid=[\"$data/val.de.gz\", \"$data/val.en.gz\"]"; then
        spent=$(($(date +%s) - begin))
        bleu=$(timeout 30 $PYTHON -m penstock evaluate -m "$work/run" --device cuda --engine torch \
            "$data/test_2016_flickr.de.gz" "$data/test_2016_flickr.en.gz" --metrics bleu)
        line "$name" "$spent s for the whole run, which then has $bleu"
    else
        failed "$name" "failed, or longer than 110 s"
    fi
else
    line "$name" "left out: no folder given"
fi
cat "$report"
exit $status
